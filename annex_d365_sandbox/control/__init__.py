"""The control plane below ``/_sandbox/``: what tests, the demo and a curious reader turn."""
