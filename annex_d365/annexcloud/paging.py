"""Lists that come in pages, by the query parameter ``page`` (Annex page 3, "Paging style")."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from annex_d365.annexcloud.errors import not_found
from annex_d365.errors import RowError, ServiceError

#: No list is that long: the service gives page after page without an end.
MAX_PAGES = 10_000
#: Digits of a page number that can be one.
_MAX_DIGITS = 9


def pages(
    ask: Callable[[int], Any], records: Callable[[Any], Sequence[Any]], first: int = 1
) -> Iterator[Sequence[Any]]:
    """The records of each page of a list.

    The list ends at the page whose number is ``pages``, at an empty page, at one that is not found, or at one that is
    the page before once more. A list that changes meanwhile may show a record twice.

    Args:
        ask: gets the page with this number, from 1.
        records: what is listed in an answer.
        first: number of the page to begin with.

    Raises:
        ServiceError: there is no end.
        ConnectorError: what ``ask`` raises; for the first page also that it is not found.
    """
    before: Sequence[Any] = ()
    current_before = None
    for number in range(first, MAX_PAGES + 1):
        try:
            answer = ask(number)
        except RowError as error:
            if number > 1 and not_found(error):
                return
            raise
        page = records(answer)
        last = page_count(answer)
        current = _number(answer, "currentPage", "current_page")
        # Two pages may look alike, if the service says that they are two.
        repeated = page == before and not (last and current != current_before)
        if not page or repeated:
            return
        yield page
        if last and number >= last:
            return
        before, current_before = page, current
    raise ServiceError(f"Annex Cloud sent {MAX_PAGES} pages of one list, and there is no end.", status=200)


def page_count(answer: Any) -> int | None:
    """How many pages there are, by the answer of one of them; None where that is not told."""
    return _number(answer, "pages")


def _number(answer: Any, *names: str) -> int | None:
    """A number, which may be a text, by the first of these names that is there; None where there is none."""
    fields = answer if isinstance(answer, Mapping) else {}
    text = next((str(fields[name]).strip() for name in names if name in fields), "")
    return int(text) if text.isdecimal() and len(text) <= _MAX_DIGITS else None
