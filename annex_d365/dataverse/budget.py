"""How many rows to ask for at a time: as many as the memory for replies holds, by what rows have turned out to take."""

from __future__ import annotations

from dataclasses import dataclass

#: The service's own default and maximum (Dataverse page 2.3).
MAX_PAGE_SIZE = 5000
#: Of replies that are read, or wait to be worked on, all together. As records they take several times as much, but
#: one at a time.
BYTES_IN_FLIGHT = 32 * 1024 * 1024
#: Rows of a first page, which shows what a row takes.
PROBE_ROWS = 100
#: Pages of half or twice the size are left as they are: to change it costs a query.
TOLERANCE = 2


@dataclass
class PageSize:
    """Rows per page of a query, which all its pages share: another size takes another query (Dataverse page 2.3).

    Attributes:
        limit: most rows.
        pages: replies in memory at once.
        bytes_per_row: in the latest page; None before there is one.
    """

    limit: int
    pages: int
    bytes_per_row: float | None = None

    @property
    def rows(self) -> int:
        """What to ask for in a new query."""
        if self.bytes_per_row is None:
            return min(self.limit, PROBE_ROWS)
        return max(1, min(self.limit, int(BYTES_IN_FLIGHT / self.pages / self.bytes_per_row)))

    def measure(self, rows: int, size: int) -> None:
        """A page had so many rows and bytes."""
        if rows:
            self.bytes_per_row = max(1, size) / rows

    def fits(self, rows: int) -> bool:
        """Whether a query that asks for so many rows may go on as it is."""
        return self.rows <= rows * TOLERANCE and rows <= self.rows * TOLERANCE
