"""Console scripts ``target-annex`` and ``target-d365``; also ``python -m target_annex``."""

from __future__ import annotations

from annex_d365.singer.plugin import run
from target_annex.target import TargetAnnex, TargetD365


def main() -> None:
    """``target-annex``: the setting `destination` says where to."""
    run(TargetAnnex)


def main_d365() -> None:
    """``target-d365``: the same target with `destination: d365`."""
    run(TargetD365)


if __name__ == "__main__":
    main()
