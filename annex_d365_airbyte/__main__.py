"""The console scripts ``source-d365`` and ``source-annex``."""

from __future__ import annotations

import sys

import tap_annex.settings
import tap_d365.settings
from annex_d365_airbyte.source import Source, run
from tap_annex.tap import TapAnnex
from tap_d365.tap import TapD365

D365 = Source(
    "source-d365",
    TapD365,
    tap_d365.settings.CONFIG,
    # All members of the segments that have changed.
    incremental=("segment_members", "segment_snapshots"),
)
ANNEX = Source(
    "source-annex",
    TapAnnex,
    tap_annex.settings.CONFIG,
    incremental=("activities",),
    resumable=("members", "rewards"),
)


def source_d365() -> None:
    """Run it."""
    sys.exit(run(D365))


def source_annex() -> None:
    """Run it."""
    sys.exit(run(ANNEX))
