"""Pages of a table that is as long as one likes, made of rows that the sandbox has rendered.

A few hundred rows are asked for once, in the form of the query at hand: its columns, its annotations. The table repeats
them; what tells rows apart (key, version, times, address, loyalty id) is put in as the page is joined.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec

FORM = "%Y-%m-%dT%H:%M:%SZ"
#: Change times of all rows lie in these two years, evenly.
_FIRST = datetime(2024, 1, 1, tzinfo=timezone.utc)
_SPAN_SECONDS = 2 * 365 * 24 * 3600

_BOUND = re.compile(r"modifiedon (ge|lt) (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)")
#: What else a filter may say: all rows have a change time, and it is never null.
_EMPTY = re.compile(r"^[() ]*(?:(?:and|or|modifiedon eq null)[() ]*)*$")

_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")

Texts = tuple[bytes, ...]


class Clock:
    """Change times of the rows of a table, in order."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        seconds = [number * _SPAN_SECONDS // rows for number in range(rows)]
        self.texts = [(_FIRST + timedelta(seconds=each)).strftime(FORM).encode() for each in seconds]

    def first_not_before(self, moment: str) -> int:
        """Number of the first row that changed then or later."""
        return bisect_left(self.texts, moment.encode())

    def bounds(self, condition: str) -> tuple[int, int]:
        """The rows that a ``$filter`` on change times is about.

        Raises:
            ValueError: it says something else.
        """
        low, high = 0, self.rows
        for operator, moment in _BOUND.findall(condition):
            place = self.first_not_before(moment)
            low, high = (max(low, place), high) if operator == "ge" else (low, min(high, place))
        if not _EMPTY.match(_BOUND.sub("", condition)):
            raise ValueError(f"a filter that this server does not know: {condition}")
        return low, high


def key(number: int) -> bytes:
    """The primary key of a row; keys have the order of change times."""
    return b"%08x-5eed-4000-8000-000000000000" % number


class View:
    """One form of the rows: the columns and annotations of a query.

    Args:
        samples: rows as the sandbox sends them, JSON.
        primary_id: name of the key.
        clock: of the table.
    """

    def __init__(self, samples: list[msgspec.Raw], primary_id: str, clock: Clock) -> None:
        times = clock.texts
        makers: Mapping[str, Callable[[int], bytes]] = {
            "@odata.etag": lambda number: b'W/\\"%d\\"' % (number + 1_000_000),
            primary_id: key,
            "modifiedon": lambda number: times[number],
            "emailaddress1": lambda number: b"customer.%d@example.com" % number,
            "cr0dd_loyaltyid": lambda number: b"AC%08d" % number,
        }
        rows = [_decoder.decode(each) for each in samples]
        self._names = [name for name in rows[0] if name in makers]
        self._makers = [makers[name] for name in self._names]
        self._samples = [self._sample(row) for row in rows]

    def _sample(self, row: Mapping[str, Any]) -> bytes:
        marked = {name: "\x00" if name in self._names else value for name, value in row.items()}
        return _encoder.encode(marked).replace(b"%", b"%%").replace(b"\\u0000", b"%b")

    def page(self, low: int, high: int) -> bytes:
        """These rows, joined."""
        samples, count = self._samples, len(self._samples)
        columns = [list(map(make, range(low, high))) for make in self._makers]
        values = zip(*columns, strict=True)
        return b",".join(
            [samples[number % count] % each for number, each in zip(range(low, high), values, strict=True)]
        )
