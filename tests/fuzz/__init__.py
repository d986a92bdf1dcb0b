"""Bad input at random: messages for the target, replies for every client, settings of every plugin.

``python -m fuzz`` (``make fuzz``); each round has a seed of its own, which a failure names.
"""
