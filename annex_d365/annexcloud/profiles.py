"""Everything about members, by the fewest calls that tell what is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from annex_d365.annexcloud.bulk_reads import BulkReads, one
from annex_d365.annexcloud.client import AnnexCloud
from annex_d365.annexcloud.columns import (
    ID,
    NEXT_REWARDS,
    POINTS,
    PROFILE,
    REWARD,
    TIERS,
    Column,
    ColumnReader,
    Record,
)
from annex_d365.annexcloud.enumeration import Candidate
from annex_d365.annexcloud.errors import not_understood
from annex_d365.annexcloud.points import Points

_REWARDS = "rewardDetail"
_SEPARATOR = " | "

Fields = Mapping[str, Any]


class Profiles:
    """Reads members. Safe for threads.

    Args:
        service: of the site.
        wanted: names of the columns that are wanted; they decide which calls are made.
        others: column -> the site's own name of its field, where the API's documents do not know it.
    """

    def __init__(self, service: AnnexCloud, wanted: Iterable[str], others: Mapping[str, str] | None = None) -> None:
        names, known = {*wanted, ID.name}, others or {}

        def reader(columns: Sequence[Column]) -> ColumnReader:
            return ColumnReader(_renamed(each, known) for each in columns if each.name in names)

        points = Points(service)
        self._profile, self._points, self._tiers = reader(PROFILE), reader(POINTS), reader(TIERS)
        self._next_rewards = reader(NEXT_REWARDS)
        self._all = reader((*PROFILE, *POINTS, *TIERS, *NEXT_REWARDS))
        self._get_profile = partial(service.get, "users")
        self._get_points = BulkReads(service, "getbulkpoints", points.balance, _telling(POINTS, known))
        get_tiers: Callable[[str], Any] = partial(service.get, "users", part="tiers")
        self._get_tiers = BulkReads(service, "bulktiers", get_tiers, _telling(TIERS, known))
        self._rewards = Rewards(service)
        # What is missing to the next reward is told by what it costs and what there is.
        self._needs_points = bool(self._points.columns) or "pointsToNextReward" in names

    @property
    def bulk(self) -> bool:
        """Whether it is worth to read many at once."""
        return self._needs_points or bool(self._tiers.columns)

    def read(self, candidates: Sequence[Candidate]) -> list[Record]:
        """The members among the candidates, as records of the wanted columns.

        Who is not there any more is left out.

        Raises:
            ConnectorError: the service cannot be asked, or its answer is of no known shape.
        """
        final = [self._final(each) for each in candidates if each.final]
        asked = [each for each in candidates if not each.final]
        return [*final, *self._asked(asked)] if asked else final

    def _final(self, candidate: Candidate) -> Record:
        return self._all.read_told(candidate.fields) | {"id": candidate.id}

    def _asked(self, candidates: Sequence[Candidate]) -> list[Record]:
        members = {each.id: fields for each in candidates if (fields := self._profile_of(each)) is not None}
        points = self._get_points.read(list(members)) if self._needs_points else {}
        tiers = self._get_tiers.read(list(members)) if self._tiers.columns else {}
        proven = {each.id for each in candidates if each.proven}
        records = []
        for member_id, profile in members.items():
            told = [facts[member_id] for facts in (points, tiers) if member_id in facts]
            if not profile and told and not any(told) and member_id not in proven:
                continue
            balance = points.get(member_id) or {}
            records.append(
                {
                    **self._profile.read(profile),
                    "id": str(profile.get("id") or member_id),
                    **self._points.read(balance),
                    **self._tiers.read(tiers.get(member_id) or {}),
                    **self._next(member_id, balance),
                }
            )
        return records

    def _profile_of(self, candidate: Candidate) -> Fields | None:
        """What is known or found out; empty where other calls will tell whether there is such a member."""
        if candidate.fields and self._profile.covered_by(candidate.fields):
            return candidate.fields
        only_id = len(self._profile.columns) == 1
        if only_id and (candidate.proven or self.bulk):
            return {}
        return one(self._get_profile, candidate.id, "GET /users/{id}")

    def _next(self, member_id: str, balance: Fields) -> Record:
        if not self._next_rewards.columns:
            return {}
        rewards = self._rewards.of(member_id)
        available = self._points_available(balance)
        missing = [
            each["creditRequired"] - available
            for each in rewards
            if each["eligible"] is False and each["creditRequired"] is not None and available is not None
        ]
        names = [each["displayText"] for each in rewards if each["eligible"] and each["displayText"]]
        found = {
            "availableRewards": _SEPARATOR.join(names) or None,
            "pointsToNextReward": max(0, min(missing)) if missing else None,
        }
        return {each.name: found[each.name] for each in self._next_rewards.columns}

    @staticmethod
    def _points_available(balance: Fields) -> Any:
        return _AVAILABLE.read(balance)["availablePoints"]


_AVAILABLE = ColumnReader(column for column in POINTS if column.name == "availablePoints")


class Rewards:
    """Reads the rewards that members may have (Annex page 9). Safe for threads."""

    def __init__(self, service: AnnexCloud) -> None:
        self._service = service
        self._reader = ColumnReader(REWARD)

    def of(self, member_id: str) -> list[Record]:
        """The rewards of a member, eligible or not; none for one that there is not.

        Raises:
            ServiceError: the answer is of no known shape.
            ConnectorError: the service cannot be asked.
        """
        route = "GET /users/{id}/reward"
        answer = one(self._ask, member_id, route)
        if answer is None:
            return []
        listed = answer.get(_REWARDS) or []
        if isinstance(listed, Mapping):
            listed = [listed]
        if not isinstance(listed, list) or not all(isinstance(each, Mapping) for each in listed):
            raise not_understood(route)
        return [self._reader.read(each) for each in listed]

    def _ask(self, member_id: str) -> Any:
        return self._service.get("users", member_id, part="reward", query={"sort_by": "rewardSequence"})


def _renamed(column: Column, others: Mapping[str, str]) -> Column:
    if column.name not in others:
        return column
    return Column(column.name, column.kind, (others[column.name], *column.others), column.description)


def _telling(columns: Sequence[Column], others: Mapping[str, str]) -> frozenset[str]:
    return frozenset(name for each in columns for name in (each.name, *_renamed(each, others).others))
