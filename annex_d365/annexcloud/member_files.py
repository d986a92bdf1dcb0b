"""Members named by a file: a list of ids, the output of another tap, a data feed, an export of webhooks."""

from __future__ import annotations

import csv
import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from annex_d365.annexcloud.enumeration import Batch, Candidate, Position
from annex_d365.annexcloud.fields import plain
from annex_d365.annexcloud.members import nested
from annex_d365.errors import SettingError

logger = logging.getLogger(__name__)

_ROWS_PER_BATCH = 100
#: So much of a file tells it from others of its size.
_HEAD = 1 << 16
_SETTING = "members.path"
#: Where an event has the member's id: its shape is not documented (Annex page 11).
_EVENT_IDS = ("id", "userId", "memberId", "user_id", "member_id")
_EVENT_PARTS = ("data", "user", "member")

_decoder = msgspec.json.Decoder()

#: Makes a candidate of a row; None for one that names nobody.
_Read = Callable[[Any], Candidate | None]


class FileEnumeration:
    """The members that a file names. Position: ``{"row": rows that are done}``.

    Args:
        path: of the file, in UTF-8.
        rows: the rows of the open file.
        read: makes a candidate of a row.
        whole: whether others than these are no members.
        settings: what else a position depends on.
    """

    def __init__(
        self,
        path: str,
        rows: Callable[[Iterable[str]], Iterator[Any]],
        read: _Read,
        *,
        whole: bool,
        settings: Sequence[Any] = (),
    ) -> None:
        self._path, self._rows, self._read, self.whole = Path(path), rows, read, whole
        self._settings = settings

    @property
    def identity(self) -> Sequence[Any]:
        """The settings, and the file's size and beginning.

        Raises:
            SettingError: the file cannot be read.
        """
        try:
            with self._path.open("rb") as file:
                head = hashlib.sha256(file.read(_HEAD)).hexdigest()
            return [*self._settings, self._path.stat().st_size, head]
        except OSError:
            raise SettingError(_SETTING, "this file cannot be read.") from None

    def batches(self, position: Position | None) -> Iterator[Batch]:
        """As in :class:`~annex_d365.annexcloud.enumeration.Enumeration`.

        Raises:
            SettingError: the file cannot be read, or is of another form.
        """
        done, nameless = int((position or {}).get("row", 0)), 0
        try:
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                rows = islice(self._rows(file), done, None)
                while some := list(islice(rows, _ROWS_PER_BATCH)):
                    found = [self._read(row) for row in some]
                    candidates = [each for each in found if each]
                    nameless += len(found) - len(candidates)
                    done += len(some)
                    yield Batch(candidates, {"row": done})
        except OSError:
            raise SettingError(_SETTING, "this file cannot be read.") from None
        except (ValueError, csv.Error):  # msgspec's errors and those of UTF-8 are ValueErrors
            raise SettingError(
                _SETTING, f"this file cannot be understood, from row {done + 1} on: it has another form."
            ) from None
        if nameless:
            logger.info("Rows of the file that name no member: %d.", nameless)


def ids(path: str, *, column: str = "id", stream: str = "", whole: bool = False) -> FileEnumeration:
    """Members by a file with an id in each line, or by the output of a tap.

    Args:
        path: of the file.
        column: of the tap's records that holds the member id.
        stream: of the tap; empty for all that have the column.
        whole: as in :class:`FileEnumeration`.
    """

    def read(line: str) -> Candidate | None:
        text = line.strip()
        if not text.startswith("{"):
            return _candidate(text)
        message = _decoder.decode(text)
        if not isinstance(message, Mapping) or (stream and message.get("stream") != stream):
            return None
        # Without an envelope it is a row itself.
        record = message.get("record", {}) if "type" in message else message
        return _candidate(record.get(column)) if isinstance(record, Mapping) else None

    return FileEnumeration(path, iter, read, whole=whole, settings=["ids", column, stream])


def feed(path: str, columns: Mapping[str, str], *, delimiter: str = ",") -> FileEnumeration:
    """Members, and all that is wanted of them, by a data feed: a CSV file whose layout the client chose (page 12).

    Args:
        path: of the file, whose first row names its columns.
        columns: API field -> column of the file; others have the API's own name. ``extendedAttribute.a`` is one of
            the site's own fields.
        delimiter: between columns.
    """
    header_of = dict(columns)

    def rows(file: Iterable[str]) -> Iterator[Any]:
        reader = csv.DictReader(file, delimiter=delimiter, strict=True)
        names = reader.fieldnames or ()
        missing = sorted({header_of.get("id", "id"), *header_of.values()} - set(names))
        if missing:
            raise SettingError("members.columns", f"the file has no column `{'`, `'.join(missing)}`.")
        return reader

    def read(row: Mapping[str, Any]) -> Candidate | None:
        if None in row or None in row.values():
            raise ValueError("has another number of columns than the first row")
        mapped = {name: row[header] for name, header in header_of.items()}
        own = {header: value for header, value in row.items() if header not in header_of.values()}
        fields = nested({**own, **mapped})
        return _candidate(fields.get("id"), fields, final=True)

    return FileEnumeration(path, rows, read, whole=True, settings=["feed", sorted(header_of.items()), delimiter])


def webhooks(path: str, *, site_id: str) -> FileEnumeration:
    """Members that have changed, by an export of webhook events: JSON lines, or one JSON list (Annex page 11).

    ASSUMPTION: an event is ``{eventId, eventType, siteId, timestamp, data{...}}``. It only says that a member changed.

    Args:
        path: of the file.
        site_id: events of other sites are passed over.
    """

    def rows(file: Iterable[str]) -> Iterator[Any]:
        for line in file:
            text = line.strip()
            if text.startswith("["):
                yield from _decoder.decode(text + "".join(file))
            elif text:
                yield _decoder.decode(text)

    def read(event: Any) -> Candidate | None:
        if not isinstance(event, Mapping) or str(event.get("siteId") or site_id) != site_id:
            return None
        inner = [event.get(part) for part in _EVENT_PARTS]
        parts = [each for each in inner if isinstance(each, Mapping)]
        parts += [nest for part in parts for name in _EVENT_PARTS if isinstance(nest := part.get(name), Mapping)]
        found = [part[name] for part in parts for name in _EVENT_IDS if part.get(name)]
        # At the top, `id` is the event's own.
        found += [event[name] for name in _EVENT_IDS[1:] if event.get(name)]
        return _candidate(found[0]) if found else None

    return FileEnumeration(path, rows, read, whole=False, settings=["webhooks"])


def _candidate(value: Any, fields: Mapping[str, Any] | None = None, *, final: bool = False) -> Candidate | None:
    """The candidate with this id; ids are opaque texts, but may come as numbers."""
    text = plain(value)
    return Candidate(text, fields or {}, final=final) if text else None
