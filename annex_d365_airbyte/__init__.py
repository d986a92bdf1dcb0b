"""Our taps as Airbyte sources: ``source-d365`` and ``source-annex``.

A bridge and nothing else: the taps read, and what they would write as Singer messages is written as Airbyte messages.
"""
