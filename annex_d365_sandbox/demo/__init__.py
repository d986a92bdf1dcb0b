"""``make demo``: the pipelines at work between two local services."""
