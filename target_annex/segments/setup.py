"""The engine, as the settings want it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from annex_d365.annexcloud.ahead import Crew
from annex_d365.annexcloud.members import Member
from annex_d365.annexcloud.segment_writing import SegmentWriting
from annex_d365.annexcloud.segments import Segments
from annex_d365.errors import SettingError
from target_annex.presets import D365
from target_annex.segments.annex import AnnexSegments, LinkedMembers
from target_annex.segments.copies import SEGMENTS, Copies
from target_annex.segments.dynamics import dynamics_side
from target_annex.segments.engine import Engine
from target_annex.segments.late import Identify
from target_annex.segments.rows import Owner, named_members
from target_annex.segments.settings import dialect
from target_annex.segments.side import SegmentSide
from target_annex.work import in_parallel

if TYPE_CHECKING:
    from target_annex.target import TargetAnnex

#: What the origin of segments begins with, in the taps and in copies.
_ANNEX_CLOUD, _DYNAMICS = "annexcloud", "dynamics"
#: Stream of contacts, by which the ledger knows their members.
_CONTACTS = "contacts"


@dataclass(frozen=True)
class Direction:
    """One way of segments.

    Attributes:
        side: the service that has the copies.
        owner: where the segments come from.
        identify: finds the members that rows are about.
    """

    side: SegmentSide
    owner: Owner
    identify: Identify


def direction_of(target: TargetAnnex) -> Direction:
    """The way of segments into the destination of a run.

    Raises:
        SettingError: the settings do not suit the service.
    """
    ledger, config = target.ledger, target.config
    if config["destination"] == D365:
        if not config.get("site_id"):
            raise SettingError("site_id", "is required for segments: their copies say from which site they come.")
        side = dynamics_side(target.dataverse, config, ledger, target.executor)
        prefix = f"{_ANNEX_CLOUD}:{config['site_id']}/"
        # An organisation may have copies of several sites, whose ids are small numbers, and two kinds of segments.
        owner = Owner(copies=_DYNAMICS, prefix=prefix, shelf=f"{side.generation} {prefix}")
        return Direction(side, owner, named_members)
    reader = Segments(target.annex_cloud, Crew(target.executor, config["max_parallel_requests"]))

    def existing(ids: Sequence[str]) -> list[str]:
        # Who cannot be asked for is no member yet.
        found = in_parallel(target.executor, target.members.get, ids)
        return [each for each, member in zip(ids, found, strict=True) if isinstance(member, Member)]

    writing = SegmentWriting(target.annex_cloud, dialect(config))
    return Direction(
        AnnexSegments(writing, reader.all, config["segment_validity_days"], existing),
        Owner(copies=_ANNEX_CLOUD, prefix=f"{_DYNAMICS}:"),
        LinkedMembers(ledger.book("members", _CONTACTS)),
    )


def engine_of(target: TargetAnnex) -> Engine:
    """The engine for the segments of a run.

    Raises:
        SettingError: the settings do not suit the service.
    """
    direction, ledger = direction_of(target), target.ledger
    memberships = ledger.memberships()
    copies = Copies(direction.side, direction.owner, ledger.book(SEGMENTS, SEGMENTS), memberships, target.dry_run)
    return Engine(
        direction.side,
        copies,
        memberships,
        direction.identify,
        target.executor,
        max_removal_percent=target.config["max_removal_percent"],
        dry_run=target.dry_run,
    )
