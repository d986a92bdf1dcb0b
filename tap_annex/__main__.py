"""The console script ``tap-annex``."""

from __future__ import annotations

from annex_d365.singer.plugin import run
from tap_annex.tap import TapAnnex


def main() -> None:
    """Run the tap."""
    run(TapAnnex)


if __name__ == "__main__":
    main()
