"""Requests that write segments: rows of a table, and actions. Each may be repeated."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import msgspec
import requests

from annex_d365.dataverse.segments.generations import Generation
from annex_d365.dataverse.writes.calls import Calls, encode_json
from annex_d365.dataverse.writes.definition import TableDefinition
from annex_d365.dataverse.writes.finder import Finder
from annex_d365.dataverse.writes.operations import Effect, Guid, Kind, Operation, Written
from annex_d365.dataverse.writes.tasks import Result, Singles, Task
from annex_d365.errors import RowError, ServiceError, SettingError

#: Refusals that are about one segment, or one list of members.
_OF_A_SEGMENT = frozenset({400, 409, 412, 413})


class SegmentGoneError(RowError):
    """There is no such segment any more."""

    def __init__(self) -> None:
        super().__init__("the segment's copy is not there any more", status=requests.codes.not_found)


class Rows:
    """Rows of a table whose GUIDs the caller knows.

    Args:
        calls: sends.
        logical_name: of the table.
        entity_set: its name in URLs.
        key: its primary key.
    """

    def __init__(self, calls: Calls, logical_name: str, entity_set: str, key: str) -> None:
        definition = TableDefinition(logical_name, entity_set, key)
        self._singles = Singles(calls, definition, Finder(calls, definition).of)

    def create(self, row_id: str, values: Mapping[str, Any]) -> bool:
        """Create a row; False if there is one with this GUID, which stays as it is.

        Raises:
            RowError: the service refuses it.
        """
        written = self._send(Kind.CREATE, row_id, values)
        return written.effect is Effect.CREATED or written.in_doubt

    def update(self, row_id: str, values: Mapping[str, Any]) -> None:
        """Change a row.

        Raises:
            SegmentGoneError: there is no such row.
            RowError: the service refuses it.
        """
        if self._send(Kind.UPDATE, row_id, values).effect is Effect.MISSING:
            raise SegmentGoneError

    def delete(self, row_id: str) -> None:
        """Delete a row, if it is there.

        Raises:
            RowError: the service refuses it.
        """
        self._send(Kind.DELETE, row_id, {})

    def _send(self, kind: Kind, row_id: str, values: Mapping[str, Any]) -> Written:
        results: dict[Hashable, Result] = {}
        self._singles.send({row_id: Task(Operation(kind, Guid(row_id), values))}, results)
        result = results[row_id]
        if not isinstance(result, Written):
            raise result
        return result


class Actions:
    """Unbound actions of one generation.

    Args:
        calls: sends.
        generation: that they belong to.
    """

    def __init__(self, calls: Calls, generation: Generation) -> None:
        self._calls, self._generation = calls, generation

    def send(self, action: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """What an action answers; empty where that cannot be read: most replies are UNCONFIRMED (page 8.3).

        Raises:
            SegmentGoneError: there is no such segment.
            RowError: it refuses this segment, or these members.
            SettingError: the organisation has no such action.
        """
        reply = self._calls.send("POST", action, f"POST /{action}", encode_json(body), check=_answer)
        if reply.ok:
            answer: Mapping[str, Any] = reply.content
            return answer
        error = reply.error
        if isinstance(error, SettingError) and error.setting == "tables":
            # What is told of an unknown table means an unknown action here.
            raise withdrawn(self._generation) from None
        if reply.status == requests.codes.not_found and isinstance(error, ServiceError):
            raise SegmentGoneError
        if reply.status in _OF_A_SEGMENT and isinstance(error, ServiceError):
            raise RowError(str(error), status=error.status, code=error.code, request_id=error.request_id)
        raise error


def withdrawn(generation: Generation) -> SettingError:
    """The error for segments without the services behind them (Dataverse page 8.1)."""
    return SettingError(
        "segments_api",
        f"{generation.name} marketing was withdrawn from this organisation: its segments may be there to be read, but "
        "no members can be written.",
    )


def _answer(response: requests.Response) -> dict[str, Any]:
    try:
        return msgspec.json.decode(response.content or b"{}", type=dict[str, Any])
    except msgspec.DecodeError:
        return {}
