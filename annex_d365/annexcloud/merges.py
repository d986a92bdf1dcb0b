"""Members that were merged into others (Annex page 5.6)."""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from annex_d365.annexcloud.client import AnnexCloud
from annex_d365.annexcloud.errors import not_found
from annex_d365.annexcloud.fields import moment
from annex_d365.annexcloud.paging import pages
from annex_d365.errors import OutageError, RowError, ServiceError

logger = logging.getLogger(__name__)

#: Merges after one another that are followed.
MAX_MERGES = 10
_EARLIEST = dt.datetime.min.replace(tzinfo=dt.timezone.utc)


class Merges:
    """Finds the member that another was merged into. Safe for threads."""

    def __init__(self, service: AnnexCloud) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._known = True

    def into(self, member_id: str) -> str | None:
        """The member that this one, by one merge or several, has become part of; None if no merge of it is known.

        Members that were merged into each other count as not merged.

        Raises:
            RowError: the service does not accept this id.
        """
        passed = [member_id]
        for _ in range(MAX_MERGES):
            primary = self._primary(passed[-1])
            if primary is None:
                break
            if primary in passed:
                return None
            passed.append(primary)
        return passed[-1] if len(passed) > 1 else None

    def _primary(self, member_id: str) -> str | None:
        if not self._known:
            return None
        try:
            merges = [merge for page in pages(partial(self._ask, member_id), _records) for merge in page]
        except OutageError:
            raise
        except RowError as error:
            if not_found(error):
                return None
            # Without a status: other routes are there. Is this one?
            if error.status or self._service.has("mergeuser"):
                raise
        except ServiceError as error:
            self._unknown(str(error))
            return None
        else:
            return _latest(merges, member_id)
        self._unknown("There is no GET /mergeuser/{id} at Annex Cloud.")
        return None

    def _ask(self, member_id: str, page: int) -> Any:
        answer = self._service.get("mergeuser", member_id, query={"page": page})
        detail = answer.get("userDetail") if isinstance(answer, Mapping) else None
        # The number of pages is inside (Annex page 5.6).
        return {**answer, **detail} if isinstance(detail, Mapping) else answer

    def _unknown(self, reason: str) -> None:
        with self._lock:
            first, self._known = self._known, False
        if first:
            logger.warning("%s Merged members are not followed in this run.", reason)


def _latest(merges: Iterable[Mapping[str, Any]], member_id: str) -> str | None:
    """The primary of the latest merge of which this member was the secondary."""
    found: list[tuple[dt.datetime, int, str]] = []
    for merge in merges:
        primary, secondary = _text(merge["primaryuid"]), _text(merge.get("secondaryuid"))
        # One who was the primary of a merge is still there.
        if primary != member_id and secondary.casefold() in {"", member_id.casefold()}:
            found.append((_date(merge), len(found), primary))
    return max(found)[2] if found else None


def _records(answer: Any) -> list[dict[str, Any]]:
    """The merges in an answer, at any depth, by names in lower case and without underscores."""
    if isinstance(answer, Mapping):
        record = {name.replace("_", "").casefold(): value for name, value in answer.items()}
        if "primaryuid" in record:
            return [record] if _text(record["primaryuid"]) else []
        answer = list(answer.values())
    return [record for each in answer for record in _records(each)] if isinstance(answer, list) else []


def _date(merge: Mapping[str, Any]) -> dt.datetime:
    try:
        return moment(_text(merge.get("mergedate") or merge.get("updatedate")))
    except ValueError:
        return _EARLIEST


def _text(value: Any) -> str:
    return "" if value is None or isinstance(value, (list, Mapping)) else str(value)
