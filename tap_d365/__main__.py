"""The console script ``tap-d365``."""

from annex_d365.singer.plugin import run
from tap_d365.tap import TapD365


def main() -> None:
    """Run the tap."""
    run(TapD365)


if __name__ == "__main__":
    main()
