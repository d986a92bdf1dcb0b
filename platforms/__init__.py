"""Other people's platforms, unmodified, with our plugins and a sandbox: ``python -m platforms``. Not shipped."""
