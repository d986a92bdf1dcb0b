"""``python -m annex_d365`` is ``annex-d365``."""

from annex_d365.cli import main

main()
