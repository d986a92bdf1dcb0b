"""Members by search (Annex page 5.4): it shows 50 at most, so that questions are divided until fewer answer to each."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from annex_d365.annexcloud.ahead import Crew
from annex_d365.annexcloud.client import AnnexCloud
from annex_d365.annexcloud.columns import number
from annex_d365.annexcloud.enumeration import Batch, Candidate, Position
from annex_d365.annexcloud.errors import not_found
from annex_d365.annexcloud.fields import moment
from annex_d365.annexcloud.members import records
from annex_d365.annexcloud.name_split import Answer, NameSplit
from annex_d365.errors import RowError

logger = logging.getLogger(__name__)

#: Most members that a search shows (Annex page 5.4).
CAP = 50
_FORM = "%Y-%m-%d %H:%M:%S"
_SHORTEST = timedelta(seconds=1)
#: When the windows begin unless a setting says it; long before there was such a service.
EARLIEST = datetime(2000, 1, 1, tzinfo=timezone.utc)

Criteria = Mapping[str, str]


class Search:
    """Searches. Safe for threads."""

    def __init__(self, service: AnnexCloud) -> None:
        self._service = service

    def __call__(self, criteria: Criteria) -> Answer:
        """The members to whom all criteria apply, 50 at most.

        Raises:
            ConnectorError: the service cannot be asked, or its answer is of no known shape.
        """
        try:
            body = self._service.post("users/search", {"dataSearch": dict(criteria)}, repeatable=True)
        except RowError as error:
            if not_found(error):
                return Answer((), full=False)
            raise
        found = [Candidate(str(each["id"]), each, proven=True) for each in records(body) if each.get("id")]
        return Answer(found, full=len(found) >= CAP or _total(body) > len(found))


@dataclass(frozen=True)
class Window:
    """A range of times of opting in. The service may count either end in, or not: neighbours share theirs."""

    begin: datetime
    end: datetime

    @property
    def criteria(self) -> Criteria:
        """As a search has it; the zone is UTC (Annex page 3)."""
        return {"optInStartDate": self.begin.strftime(_FORM), "optInEndDate": self.end.strftime(_FORM)}

    @property
    def halves(self) -> Sequence[Window]:
        """Two windows of whole seconds; none of the shortest there is."""
        if self.end - self.begin <= _SHORTEST:
            return ()
        middle = self.begin + timedelta(seconds=(self.end - self.begin) // _SHORTEST // 2)
        return Window(self.begin, middle), Window(middle, self.end)


class SearchEnumeration:
    """All members that have a date of opting in; then, unless that is not wanted, all who have opted out.

    Not found: members without such a date who have not opted out. New members have one by default (Annex page 5.1),
    imported ones may not. A member who opts in meanwhile is left to the next run.

    Position: ``{"until": end of the windows that are done}``, then also ``"opted_out": true``.

    Args:
        service: of the site.
        crew: sends the searches.
        end: of the last window.
        begin: of the first window.
        opted_out: whether those are searched for who have opted out, whatever their date.
    """

    whole = True

    def __init__(
        self, service: AnnexCloud, crew: Crew, *, end: datetime, begin: datetime = EARLIEST, opted_out: bool = True
    ) -> None:
        self._search, self._crew, self._opted_out = Search(service), crew, opted_out
        self._range = Window(begin.replace(microsecond=0), max(begin + _SHORTEST, end.replace(microsecond=0)))
        self._names = NameSplit(self._search, crew)
        self._divisions = 0

    @property
    def identity(self) -> Sequence[Any]:
        """The first window's begin, and whether opted-out members are wanted."""
        return [self._range.begin.strftime(_FORM), self._opted_out]

    def batches(self, position: Position | None) -> Iterator[Batch]:
        """As in :class:`~annex_d365.annexcloud.enumeration.Enumeration`."""
        position = position or {}
        begin = moment(position["until"]) if "until" in position else self._range.begin
        done = {"until": self._range.end.strftime(_FORM)}
        if begin < self._range.end and not position.get("opted_out"):
            yield from self._windows(Window(begin, self._range.end))
        if self._opted_out and not position.get("opted_out"):
            yield from self._divided({"optInStatus": "NO"}, "members who have opted out", done | {"opted_out": True})
        if self._divisions:
            logger.warning(
                "%d searches that time cannot divide were divided by names: who has no name that begins like any name "
                "that was seen may be missing.",
                self._divisions,
            )

    def _windows(self, whole: Window) -> Iterator[Batch]:
        def halves(window: Window, answer: Answer) -> Sequence[Window]:
            return window.halves if answer.full else ()

        for window, answer in self._crew.expanded([whole], lambda window: self._search(window.criteria), halves):
            self._names.learn(answer.candidates)
            position = {"until": window.end.strftime(_FORM)}
            if answer.full:
                label = f"members who have opted in between {window.begin:{_FORM}} and {window.end:{_FORM}}"
                yield from self._divided(window.criteria, label, position, answer)
            else:
                yield Batch(answer.candidates, position)

    def _divided(
        self, criteria: Criteria, label: str, position: Position, answer: Answer | None = None
    ) -> Iterator[Batch]:
        """A question that time cannot divide."""
        answer = answer or self._search(criteria)
        yield Batch(answer.candidates)
        complete = not answer.full
        if answer.full:
            division = self._names.division(criteria, answer.candidates)
            yield from map(Batch, division.answers())
            complete = division.complete
            self._divisions += complete
        # What is found by names is as complete as can be known, but nobody can be called gone for not being there.
        yield Batch((), position, () if complete else (label,), torn=answer.full)


def _total(body: Any) -> int:
    """How many members there are, where the answer says it; `records` may as well be how many it shows."""
    try:
        return int(number(body["records"]))
    except (KeyError, TypeError, ValueError):
        return 0
