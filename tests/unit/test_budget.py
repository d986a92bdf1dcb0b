"""Rows per page: as many as there is memory for."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annex_d365.dataverse.budget import BYTES_IN_FLIGHT, MAX_PAGE_SIZE, PROBE_ROWS, PageSize
from annex_d365.dataverse.client import Dataverse
from annex_d365.dataverse.query import Query
from annex_d365.gate import Gate

ROOT = "https://contoso.crm4.dynamics.com/api/data/v9.2"


@given(st.integers(1, MAX_PAGE_SIZE), st.integers(1, 53), st.integers(1, 5000), st.integers(0, 10**9))
def test_never_too_large(limit, pages, rows, size):
    made = PageSize(limit, pages)
    assert made.rows == min(limit, PROBE_ROWS)
    made.measure(rows, size)
    assert 1 <= made.rows <= limit
    assert made.rows == 1 or made.rows * size / rows * pages <= BYTES_IN_FLIGHT
    assert made.fits(made.rows)


def test_an_empty_page_says_nothing():
    made = PageSize(5000, 2)
    made.measure(0, 500)
    assert made.rows == PROBE_ROWS


@pytest.mark.parametrize(("rows", "fits"), [(49, False), (50, True), (100, True), (200, True), (201, False)])
def test_a_size_is_kept_unless_another_one_is_much_better(rows, fits):
    assert PageSize(5000, 1, BYTES_IN_FLIGHT / 100).fits(rows) is fits


class Service(Dataverse):
    """A table of so many rows of so many bytes, in pages of no more than ``most``."""

    def __init__(self, count, width, most=MAX_PAGE_SIZE):
        self.count, self.width, self.most, self.asked = count, width, most, []
        self.http, self.pages_read = SimpleNamespace(gate=Gate(9)), 0

    def _read(self, url, prefer, decoder):
        size = min(self.most, int(prefer[-1].rpartition("=")[2]))
        self.asked.append(size)
        start = int(url.partition("skip=")[2] or 0)
        end = min(self.count, start + size)
        body = {"value": [{"id": number, "text": "x" * self.width} for number in range(start, end)]}
        if end < self.count:
            body["@odata.nextLink"] = f"{ROOT}/accounts?skip={end}"
        encoded = json.dumps(body).encode()
        page = decoder.decode(encoded)
        page.size = len(encoded)
        return page


@pytest.mark.parametrize(
    ("service", "asked"),
    [
        (Service(100, 10), [100]),
        (Service(6000, 10), [100, 5000, 5000]),
        (Service(120, 10), [100, 5000]),
        (Service(1200, 30_000), [100, *[558] * 3]),
        (Service(180, 150_000), [100, 100]),
        (Service(120, 10, most=50), [50, 50, 50]),
    ],
)
def test_the_first_page_shows_how_large_the_others_are(service, asked):
    rows = list(service.rows(Query("accounts")))
    assert [row["id"] for row in rows] == list(range(service.count))
    assert [min(size, service.most) for size in service.asked] == asked


@pytest.mark.parametrize(("top", "asked"), [(1, [1]), (100, [100]), (700, [100, 700]), (5000, [100, 5000])])
def test_no_more_is_asked_for_than_the_top(top, asked):
    service = Service(6000, 10)
    assert [row["id"] for row in service.rows(Query("accounts", top=top))] == list(range(top))
    assert service.asked == asked
