"""The engine, as the settings want it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from annex_d365.annexcloud.ahead import Crew
from annex_d365.annexcloud.segment_writing import SegmentWriting
from annex_d365.annexcloud.segments import Segments
from annex_d365.errors import SettingError
from target_annex.presets import D365
from target_annex.segments.annex import AnnexSegments, LinkedMembers
from target_annex.segments.copies import SEGMENTS, Copies
from target_annex.segments.dynamics import dynamics_side
from target_annex.segments.engine import Engine, Identify
from target_annex.segments.rows import Owner, named_members
from target_annex.segments.settings import dialect
from target_annex.segments.side import SegmentSide

if TYPE_CHECKING:
    from target_annex.target import TargetAnnex

#: What the origin of segments begins with, in the taps and in copies.
_ANNEX_CLOUD, _DYNAMICS = "annexcloud", "dynamics"
#: Stream of contacts, by which the ledger knows their members.
_CONTACTS = "contacts"


def engine_of(target: TargetAnnex) -> Engine:
    """The engine for the segments of a run.

    Raises:
        SettingError: the settings do not suit the service.
    """
    ledger, config = target.ledger, target.config
    side: SegmentSide
    identify: Identify
    if config["destination"] == D365:
        if not config.get("site_id"):
            raise SettingError("site_id", "is required for segments: their copies say from which site they come.")
        owner = Owner(copies=_DYNAMICS, prefix=f"{_ANNEX_CLOUD}:{config['site_id']}/")
        side = dynamics_side(target.dataverse, config, ledger, target.executor)
        identify = named_members
    else:
        owner = Owner(copies=_ANNEX_CLOUD, prefix=f"{_DYNAMICS}:")
        reader = Segments(target.annex_cloud, Crew(target.executor, config["max_parallel_requests"]))
        writing = SegmentWriting(target.annex_cloud, dialect(config))
        side = AnnexSegments(writing, reader.all, config["segment_validity_days"])
        identify = LinkedMembers(ledger.book("members", _CONTACTS))
    memberships = ledger.memberships()
    copies = Copies(side, owner, ledger.book(SEGMENTS, SEGMENTS), memberships, target.dry_run)
    return Engine(
        side,
        copies,
        memberships,
        identify,
        target.executor,
        max_removal_percent=config["max_removal_percent"],
        dry_run=target.dry_run,
    )
