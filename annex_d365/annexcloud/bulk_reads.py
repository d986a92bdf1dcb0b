"""Facts about many members by one call (Annex page 7), wherever that works; single calls wherever it does not."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import requests

from annex_d365.annexcloud.bulk import BULK_LIMIT, MAX_REFUSALS
from annex_d365.annexcloud.bulk_results import items
from annex_d365.annexcloud.client import AnnexCloud, path_segment
from annex_d365.annexcloud.errors import NO_DATA, not_found, not_understood
from annex_d365.errors import RowError

logger = logging.getLogger(__name__)

Fields = Mapping[str, Any]

#: Statuses of a call that may only be too large: the service's own limit is unknown (Annex page 7).
_TOO_MANY = frozenset({requests.codes.bad_request, requests.codes.request_entity_too_large})


class BulkReads:
    """One kind of fact, and what is learnt about its bulk call in a run. Safe for threads.

    Args:
        service: of the site.
        resource: the bulk route, ``getbulkpoints``.
        single: gets the fact about one member by a call of its own.
        telling: fields of which an item must have one, or it does not tell the fact.
    """

    def __init__(
        self, service: AnnexCloud, resource: str, single: Callable[[str], Any], telling: frozenset[str]
    ) -> None:
        self._service, self._resource, self._single, self._telling = service, resource, single, telling
        self._lock = threading.Lock()
        self._size = BULK_LIMIT
        self._refusals = 0

    def read(self, ids: Sequence[str]) -> dict[str, Fields | None]:
        """The fact about each of these members; None for those that the service does not know.

        Raises:
            ConnectorError: other than that there is no such member.
        """
        found: dict[str, Fields | None] = {}
        rest = [each for each in dict.fromkeys(ids) if _fits(each)]
        while rest:
            with self._lock:
                size, tried = self._size, self._refusals < MAX_REFUSALS
            some = rest[:size]
            told = self._together(some) if tried and len(some) > 1 else {}
            if told is None:
                continue  # fewer at once
            found.update(told)
            found.update({each: self._alone(each) for each in some if each not in told})
            rest = rest[size:]
        return {each: found.get(each) for each in ids}

    def _together(self, ids: Sequence[str]) -> dict[str, Fields | None] | None:
        """What one call tells; None if fewer should be asked about."""
        # The documented form of the body: a map by number (Annex page 7).
        body = {str(number): {"id": each} for number, each in enumerate(ids, 1)}
        attempt = self._service.attempt(self._resource, body)
        refusal = attempt.refusal
        # Because of one member that there is not, the next call need not be smaller.
        if refusal and refusal.status in _TOO_MANY and refusal.code != NO_DATA:
            with self._lock:
                # Refused at any size, it is no matter of size: then single calls are sent.
                self._size = min(self._size, max(1, len(ids) // 2))
            return None
        told = {} if refusal else self._told(attempt.answer, ids)
        with self._lock:
            self._refusals = 0 if told else self._refusals + 1
            over = self._refusals == MAX_REFUSALS
        if over:
            logger.warning("Annex Cloud refuses POST /%s; single calls are sent instead from now on.", self._resource)
        return told

    def _told(self, answer: Any, ids: Sequence[str]) -> dict[str, Fields | None]:
        told: dict[str, Fields | None] = {}
        for member_id, item in zip(ids, items(answer, ids), strict=True):
            if item is None:
                continue
            code = item.get("errorCode")
            if code not in {None, "", 0, "0"}:
                if str(code).upper() == NO_DATA:
                    told[member_id] = None
            elif not self._telling.isdisjoint(item):
                told[member_id] = item
        return told

    def _alone(self, member_id: str) -> Fields | None:
        return one(self._single, member_id, self._resource)


def one(single: Callable[[str], Any], member_id: str, route: str) -> Fields | None:
    """The fact about one member; None if the service knows none, or cannot be asked by this id.

    Raises:
        ServiceError: the answer is of no known shape.
        ConnectorError: other than that there is no such member.
    """
    if not _fits(member_id):
        return None
    try:
        answer = single(member_id)
    except RowError as error:
        if not_found(error):
            return None
        raise
    if not isinstance(answer, Mapping):
        raise not_understood(route)
    return answer


def _fits(member_id: str) -> bool:
    """Whether the service can be asked about this id: nobody can be a member with another."""
    try:
        path_segment(member_id)
    except RowError:
        return False
    return True
