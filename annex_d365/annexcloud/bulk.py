"""Many members by one call (Annex page 5.7), wherever that works; single calls wherever it does not."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import requests

from annex_d365.annexcloud.bulk_results import verdicts
from annex_d365.annexcloud.bulk_words import Verdict
from annex_d365.annexcloud.client import AnnexCloud, path_segment
from annex_d365.annexcloud.errors import NO_DATA, refusal
from annex_d365.errors import OutageError, RepeatedError, RowError
from annex_d365.frozen import frozen

logger = logging.getLogger(__name__)

#: Most members in one call; the service's recommendation (Annex page 5.7).
BULK_LIMIT = 100
#: After so many refusals or failures in a row a bulk call is not tried again.
MAX_REFUSALS = 3


@frozen
class Item:
    """One of the requests that a bulk call stands for.

    Attributes:
        id: the member's.
        body: what the single call would send.
        alone: the single call.
    """

    id: str
    body: Mapping[str, Any]
    alone: Callable[[], None]


_Form = Callable[[Sequence[Item]], Any]


def _array(items: Sequence[Item]) -> Any:
    return [item.body for item in items]


def _numbered(items: Sequence[Item]) -> Any:
    return {str(number): item.body for number, item in enumerate(items, 1)}


#: The sources disagree about the form of the body (Annex page 5.7); the documented one first.
_FORMS = (_array, _numbered)


class Bulk:
    """One bulk route, and what is learnt about it in a run. Safe for threads.

    Every call must be repeatable in effect.

    Args:
        service: of the site.
        resource: the route, ``bulkpostusers``.
        single: the single call for messages, ``POST /users``.
    """

    def __init__(self, service: AnnexCloud, resource: str, single: str) -> None:
        self._service, self._resource, self._single = service, resource, single
        self._lock = threading.Lock()
        self._forms: tuple[_Form, ...] = _FORMS
        self._refusals = 0

    @property
    def limit(self) -> int:
        """How many items a call should have: one, once bulk calls have been given up."""
        return BULK_LIMIT if self._refusals < MAX_REFUSALS else 1

    def send(self, items: Sequence[Item]) -> list[RowError | None]:
        """Carry out all items; None, or why not, for each.

        Raises:
            ValueError: more than :data:`BULK_LIMIT` items, or two for the same member.
            ConnectorError: other than for a row.
        """
        if len(items) > BULK_LIMIT:
            raise ValueError(f"more than {BULK_LIMIT} items for one bulk call")
        if len({item.id for item in items}) < len(items):
            raise ValueError("two items for the same member in one bulk call")
        unfit = [_unfit(item) for item in items]
        together = [item for item, alone in zip(items, unfit, strict=True) if not alone]
        results = iter(self._together(together, in_doubt=False))
        return [
            _alone(item, in_doubt=False) if alone else next(results) for item, alone in zip(items, unfit, strict=True)
        ]

    def _together(self, items: Sequence[Item], *, in_doubt: bool) -> list[RowError | None]:
        """``in_doubt``: whether the items may have been carried out already."""
        with self._lock:
            forms = self._forms if self._refusals < MAX_REFUSALS and len(items) > 1 else ()
        for form in forms:
            attempt = self._service.attempt(self._resource, form(items))
            in_doubt = in_doubt or attempt.in_doubt
            if attempt.refusal is None:
                told = verdicts(
                    attempt.answer, [item.id for item in items], {name for item in items for name in item.body}
                )
                if self._believable(told, proven=len(forms) == 1):
                    self._accepted(form)
                    if any(verdict and verdict.done for verdict in told):
                        self._service.judge.row_written()
                    return [self._result(*each, in_doubt=in_doubt) for each in zip(items, told, strict=True)]
                in_doubt = True
            elif isinstance(attempt.refusal, OutageError):
                break  # in another form it would fail, too
            elif attempt.refusal.status == requests.codes.request_entity_too_large:
                middle = len(items) // 2
                halves = items[:middle], items[middle:]
                return [result for half in halves for result in self._together(half, in_doubt=in_doubt)]
        results = [_alone(item, in_doubt=in_doubt) for item in items]
        if forms and any(result is None or isinstance(result, RepeatedError) for result in results):
            self._refused()
        return results

    @staticmethod
    def _believable(told: Sequence[Verdict | None], *, proven: bool) -> bool:
        """Whether the service has understood the call.

        It may refuse each item of a body whose form it does not understand. That a member exists, or does not, it can
        only say of one whose id it has read.
        """
        clear = [verdict for verdict in told if verdict]
        understood = any(
            verdict.done or verdict.status == requests.codes.conflict or verdict.code == NO_DATA for verdict in clear
        )
        return understood or (proven and bool(clear))

    def _result(self, item: Item, verdict: Verdict | None, *, in_doubt: bool) -> RowError | None:
        if verdict and verdict.done:
            return None
        error = refusal(verdict.status, verdict.code, self._single) if verdict else None
        if isinstance(error, RowError):
            return _doubted(error) if in_doubt else error
        return _alone(item, in_doubt=True)

    def _accepted(self, form: _Form) -> None:
        with self._lock:
            self._forms, self._refusals = (form,), 0

    def _refused(self) -> None:
        with self._lock:
            self._refusals += 1
            last = self._refusals == MAX_REFUSALS
        if last:
            logger.warning("POST /%s does not work; single calls are sent instead from now on.", self._resource)


def _unfit(item: Item) -> bool:
    """Whether the single call may refuse this id unsent: a bulk call must not be wider than that."""
    try:
        path_segment(item.id)
    except RowError:
        return True
    return False


def _alone(item: Item, *, in_doubt: bool) -> RowError | None:
    try:
        item.alone()
    except RowError as error:
        return _doubted(error) if in_doubt else error
    return None


def _doubted(error: RowError) -> RowError:
    """The error of an item that may have been carried out before."""
    if error.status != requests.codes.conflict:
        return error
    return RepeatedError(str(error), status=error.status, code=error.code)
