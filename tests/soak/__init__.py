"""Both services, four pipelines and the postings in a loop, broken on purpose; then a judge looks at what is left.

``python -m soak`` (``make soak``); what is promised, and what this found, is in docs/trust.md.
"""
