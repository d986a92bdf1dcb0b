"""Which side a field follows, and what happens to one that both sides have changed (the setting `field_owners`)."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from annex_d365.errors import RowError
from annex_d365.fields import Form, Group, LoyaltyColumn
from annex_d365.ledger import changed
from annex_d365.singer.rows import shown
from target_annex.presets import ANNEX_CLOUD, D365

logger = logging.getLogger(__name__)

BOTH = "both"
REJECT = "reject"
#: What the setting `field_owners` says of groups that it does not name.
DEFAULT_OWNERS: Mapping[str, str] = {
    Group.IDENTITY.value: D365,
    Group.CONSENT.value: D365,
    Group.LOYALTY.value: ANNEX_CLOUD,
}
#: Who wins when both sides have changed a field, unless the row is rejected.
ON_CONFLICT = (D365, ANNEX_CLOUD, REJECT)

#: The code of rows that are rejected because a field has changed on both sides.
CONFLICT = "CONFLICT"
#: Of a stream, so many conflicts are told one by one; the report counts all.
TOLD_CONFLICTS = 10


class Verdict(Enum):
    """What becomes of a field that both sides may change."""

    #: The destination has it already.
    SAME = "same"
    #: Only the source has changed it.
    WRITE = "write"
    #: Only the destination has changed it, if anybody has: it comes by the other direction.
    LEAVE = "leave"
    CONFLICT = "conflict"


@dataclass(frozen=True)
class Sides:
    """Fields of one stream by who may change them; fields that are in neither collection follow the source.

    Attributes:
        filled: fields that follow the destination: only a row that is created gets them.
        both: fields that both sides may change, with the form of their values.
    """

    filled: frozenset[str] = frozenset()
    both: Mapping[str, Form] = field(default_factory=dict)


@dataclass(frozen=True)
class Ownership:
    """The settings `field_owners` and `on_conflict`, seen from one destination.

    Attributes:
        destination: the side that is written to.
        owners: group -> side, or :data:`BOTH`.
        on_conflict: one of :data:`ON_CONFLICT`.
    """

    destination: str = ANNEX_CLOUD
    owners: Mapping[str, str] = field(default_factory=lambda: DEFAULT_OWNERS)
    on_conflict: str = D365

    def writes(self, verdict: Verdict) -> bool:
        """Whether a field with this verdict is written."""
        wins = self.on_conflict not in {self.destination, REJECT}
        return verdict is Verdict.WRITE or (verdict is Verdict.CONFLICT and wins)

    def sides(self, fields: Mapping[str, LoyaltyColumn]) -> Sides:
        """Which fields of a preset follow which side. The link is written in any case.

        Args:
            fields: what members and contacts have in common, by the names in the destination.
        """
        owners = {name: self._owner(each) for name, each in fields.items()}
        return Sides(
            frozenset(name for name, owner in owners.items() if owner == self.destination),
            {name: fields[name].form for name, owner in owners.items() if owner == BOTH},
        )

    def check_named(self, stream: str, fields: Iterable[str], known: Mapping[str, LoyaltyColumn]) -> None:
        """Warn of fields that the user names though they follow the destination: they are written all the same."""
        against = sorted(set(fields) & self.sides(known).filled)
        if against:
            logger.warning(
                "Stream %s: `fields` names %s, which belong to the destination (`field_owners`); written all the same.",
                stream,
                ", ".join(f"`{name}`" for name in against),
            )

    def _owner(self, column: LoyaltyColumn) -> str:
        return self.owners.get(column.group.value, "")


def ownership(config: Mapping[str, Any]) -> Ownership:
    """What the settings say."""
    named = {group: owner for group, owner in (config.get("field_owners") or {}).items() if owner}
    owners = {**DEFAULT_OWNERS, **named}
    return Ownership(config["destination"], owners, config["on_conflict"])


def verdict(name: str, said: str, there: str, known: bytes) -> Verdict:
    """What becomes of a field that both sides may change.

    Args:
        name: of the field.
        said: by the source; like ``there``, as :func:`annex_d365.fields.comparable` makes it.
        there: in the destination. An empty value is no change: it is filled.
        known: digests of what was last written, or found to be there.
    """
    if said == there:
        return Verdict.SAME
    if not changed({name: said}, known):
        return Verdict.LEAVE
    if not there or not changed({name: there}, known):
        return Verdict.WRITE
    return Verdict.CONFLICT


class Conflicts:
    """Tells of conflicts, without values.

    Args:
        stream: that the rows came by.
        ownership: the settings.
    """

    def __init__(self, stream: str, ownership: Ownership) -> None:
        self._stream, self._ownership, self._told = stream, ownership, 0

    def error(self, key: str, names: Collection[str]) -> RowError | None:
        """Tell of fields of a row that both sides have changed; the error if the row is rejected for it.

        Args:
            key: of the row, in Dynamics 365: one that can be shown.
            names: of the fields; without any, there is nothing to tell.
        """
        if not names:
            return None
        listed = ", ".join(f"`{name}`" for name in sorted(names))
        if self._ownership.on_conflict == REJECT:
            return RowError(f"both sides have changed {listed} (`on_conflict` is reject)", code=CONFLICT)
        self._told += 1
        if self._told <= TOLD_CONFLICTS:
            logger.warning(
                "%s: row %s: both sides have changed %s; %s wins (`on_conflict`).",
                self._stream,
                shown(key),
                listed,
                self._ownership.on_conflict,
            )
        return None
