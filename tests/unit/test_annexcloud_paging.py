"""Lists that come in pages, whatever their answers say about pages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annex_d365.annexcloud import paging
from annex_d365.annexcloud.paging import pages
from annex_d365.errors import RowError, ServiceError

NOT_FOUND = RowError("", status=404, code="AC1005")
NO_DATA = RowError("", status=400, code="AC1005")


def read(answers, beyond):
    """All records of a list with these answers, and ``beyond`` for each page after the last one."""
    asked = []

    def ask(number):
        asked.append(number)
        answer = answers[number - 1] if number <= len(answers) else beyond
        if isinstance(answer, Exception):
            raise answer
        return answer

    found = [record for page in pages(ask, lambda body: body["list"]) for record in page]
    return found, asked


def answers_of(contents, number_of, current):
    count = len(contents)
    totals = {} if number_of is None else {"pages": number_of(count)}
    return [
        {"list": content, **totals, **({current[0]: current[1](number)} if current else {})}
        for number, content in enumerate(contents, 1)
    ]


contents = st.integers(1, 30).flatmap(
    lambda count: st.integers(1, 7).map(
        lambda size: [list(range(first, min(first + size, count))) for first in range(0, count, size)]
    )
)
totals = st.sampled_from([None, int, str, lambda count: f" {count} ", lambda count: 0, lambda count: "many"])
currents = st.sampled_from(
    [
        None,
        ("currentPage", int),
        ("current_page", str),
        ("currentPage", lambda number: 1),
        ("currentPage", lambda _: ""),
    ]
)


@given(contents=contents, number_of=totals, current=currents, data=st.data())
def test_every_record_once_and_then_an_end(contents, number_of, current, data):
    answers = answers_of(contents, number_of, current)
    beyond = data.draw(st.sampled_from([NOT_FOUND, NO_DATA, {"list": []}, answers[-1]]))
    found, asked = read(answers, beyond)
    assert found == [record for content in contents for record in content]
    assert asked == list(range(1, len(asked) + 1))
    if number_of in {int, str}:
        assert len(asked) == len(contents), "the last page is known"


def test_pages_that_look_alike_are_two_pages():
    found, _ = read([{"list": ["visit"], "currentPage": number, "pages": 2} for number in (1, 2)], NOT_FOUND)
    assert found == ["visit", "visit"]


@pytest.mark.parametrize(
    "more", [{}, {"currentPage": 1}, {"pages": 3}, {"pages": 3, "current_page": 1}, {"pages": "all", "currentPage": 1}]
)
def test_a_service_that_always_sends_the_first_page(more):
    assert read([], {"list": ["visit"], **more}) == (["visit"], [1, 2])


def test_a_service_that_says_the_number_of_a_page_but_sends_the_first():
    assert read([{"list": ["visit"], "currentPage": number} for number in range(1, 9)], NOT_FOUND) == (
        ["visit"],
        [1, 2],
    )


def test_an_empty_list():
    assert read([{"list": []}], NOT_FOUND) == ([], [1])


def test_a_list_that_is_not_there():
    with pytest.raises(RowError) as error:
        read([NO_DATA], NO_DATA)
    assert error.value is NO_DATA


def test_other_errors_are_no_end():
    refused = RowError("", status=400, code="AC1004")
    with pytest.raises(RowError) as error:
        read([{"list": [1]}], refused)
    assert error.value is refused


def test_a_list_without_an_end(monkeypatch):
    monkeypatch.setattr(paging, "MAX_PAGES", 5)
    with pytest.raises(ServiceError, match="no end"):
        read([{"list": [number], "pages": 99} for number in range(9)], NOT_FOUND)
