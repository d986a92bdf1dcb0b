"""By which names an outbound segment is written: the reference page has two for two members (Dataverse page 8.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import requests

from annex_d365.dataverse.segments.generations import MEMBER_IDS, OUTBOUND
from annex_d365.errors import RowError, SettingError

#: No column is called so (page 8.2), but older examples write these.
OTHER_QUERY = "msdyncrm_query"
_OTHERS = {OUTBOUND.columns["query"]: OTHER_QUERY, MEMBER_IDS: "msdyncrm_memberids"}
_UNKNOWN_COLUMN = "streams"

Reply = TypeVar("Reply")


class OutboundNames:
    """Sends the names of the columns; the others where those are refused, and first once they were right."""

    def __init__(self) -> None:
        self._others_first = False

    def send(self, values: Mapping[str, Any], send: Callable[[Mapping[str, Any]], Reply]) -> Reply:
        """The answer to a request that writes a segment; a refused one has done nothing.

        Args:
            values: by the names of the columns.
            send: takes them by the names that are tried.

        Raises:
            ConnectorError: the first refusal.
        """
        others = {_OTHERS.get(name, name): value for name, value in values.items()}
        if others.keys() == values.keys():
            return send(values)
        first, second = (others, values) if self._others_first else (values, others)
        try:
            return send(first)
        except (RowError, SettingError) as error:
            if not _may_be_name(error):
                raise
            refusal = error
        try:
            reply = send(second)
        except (RowError, SettingError):
            raise refusal from None
        self._others_first = not self._others_first
        return reply


def _may_be_name(error: RowError | SettingError) -> bool:
    if isinstance(error, SettingError):
        return error.setting == _UNKNOWN_COLUMN
    return bool(error.status == requests.codes.bad_request)
