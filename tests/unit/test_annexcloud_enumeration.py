"""Ways to find the members of a site that has no list of them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annex_d365.annexcloud import search
from annex_d365.annexcloud.ahead import Crew, PagesAhead
from annex_d365.annexcloud.enumeration import Batch, Candidate, EnumerationIncompleteError, Seen, regrouped
from annex_d365.annexcloud.search import SearchEnumeration
from annex_d365.errors import RowError, ServiceError

BEGIN = datetime(2020, 1, 1, tzinfo=timezone.utc)
END = BEGIN + timedelta(days=30)
CAP = 4
SAME = 1000


class Directory:
    """Members, and a search that shows so many at most."""

    def __init__(self, members, *, inclusive=True, particular=False, wild=("firstName", "lastName"), shape=None):
        self.members = members
        self.inclusive, self.particular, self.wild = inclusive, particular, wild
        self.shape = shape or (lambda found: {"records": len(found), "userDetail": found})
        self.asked = []
        self.lock = threading.Lock()

    def post(self, resource, body, *, repeatable):
        assert (resource, repeatable) == ("users/search", True)
        with self.lock:
            self.asked.append(body["dataSearch"])
        found = [each for each in self.members if self.fits(each, body["dataSearch"])]
        if not found:
            raise RowError("nobody", status=404, code="AC1005")
        return self.shape(found[:CAP])

    def fits(self, member, criteria):
        for name, wanted in criteria.items():
            if name == "optInStartDate":
                if not member["at"] or member["at"] < _time(wanted):
                    return False
            elif name == "optInEndDate":
                if not member["at"] or member["at"] > _time(wanted):
                    return False
                if not self.inclusive and member["at"] == _time(wanted):
                    return False
            elif not self.matches(member.get(name) or "", wanted, wild=name in self.wild):
                return False
        return True

    def matches(self, value, wanted, *, wild):
        if not self.particular:
            value, wanted = value.lower(), wanted.lower()
        return value.startswith(wanted[:-1]) if wild and wanted.endswith("%") else value == wanted


def _time(text):
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc)


def member(number, seconds=SAME, first="", last="", **fields):
    at = None if seconds is None else BEGIN + timedelta(seconds=seconds)
    return {"id": f"M{number}", "at": at, "firstName": first, "lastName": last, "optInStatus": "YES", **fields}


@pytest.fixture(autouse=True)
def small_cap(monkeypatch):
    monkeypatch.setattr(search, "CAP", CAP)


def walk(directory, position=None, **options):
    with ThreadPoolExecutor(3) as pool:
        made = SearchEnumeration(directory, Crew(pool, 3), begin=BEGIN, end=END, **options)
        return list(made.batches(position))


def ids(batches):
    return {each.id for batch in batches for each in batch.candidates}


def left(batches):
    return [each for batch in batches for each in batch.left]


def torn(batches):
    return any(batch.torn for batch in batches)


times = st.lists(
    st.one_of(st.integers(0, 29 * 86400), st.integers(SAME, SAME + 6), st.integers(86400, 86500)), max_size=40
)
initials = st.sampled_from(["Ada", "Adam", "ada", "Bo", "Ömer", "Юлия", "涛", "Ng", "O'Neil", "de la Cruz"])


@given(times, st.booleans())
@settings(max_examples=40)
def test_windows_find_everybody_whose_seconds_are_not_crowded(seconds, inclusive):
    spread = [each for each in seconds if seconds.count(each) + seconds.count(each + 1) < CAP]
    spread = [each for each in spread if spread.count(each) + spread.count(each - 1) < CAP]
    directory = Directory([member(number, each) for number, each in enumerate(spread)], inclusive=inclusive)
    batches = walk(directory)
    assert ids(batches) == {each["id"] for each in directory.members}
    assert not left(batches)
    assert not torn(batches)


@given(st.lists(st.tuples(initials, initials), min_size=1, max_size=16), st.booleans(), st.booleans())
@settings(max_examples=12)
def test_a_crowded_second_is_never_incomplete_in_silence(names, inclusive, particular):
    everybody = [member(number, SAME, *name) for number, name in enumerate(names)]
    directory = Directory(everybody, inclusive=inclusive, particular=particular)
    batches = walk(directory)
    assert ids(batches) == {each["id"] for each in everybody} or left(batches) or torn(batches)
    if len(everybody) >= CAP:
        assert torn(batches)


@given(times, st.integers(0, 30))
@settings(max_examples=25)
def test_each_position_is_one_to_go_on_from(seconds, stop):
    directory = Directory([member(number, each, f"{number}x", f"{number}y") for number, each in enumerate(seconds)])
    batches = walk(directory)
    before = batches[:stop]
    positions = [batch.position for batch in before if batch.position]
    # What came after the last position is read again.
    sure = before[: 1 + max((place for place, batch in enumerate(before) if batch.position), default=-1)]
    again = walk(directory, positions[-1] if positions else None)
    assert ids(sure) | ids(again) == ids(batches)
    assert left(sure) + left(again) == left(batches)


def test_names_divide_what_time_cannot(caplog):
    people = [("Adam", "Young"), ("Adalbert", "Young"), ("Ada", "Yates"), ("Юлия", "Соколова"), ("涛", "黄")]
    # The last one is shown by no search of the crowded second, but letters are learnt from others.
    everybody = [member(number, SAME, *people[number % 5]) for number in range(5)]
    everybody.append(member(9, 0, "涛", "黄"))
    everybody += [member(10 + number, SAME, f"B{letter}", f"Z{letter}") for number, letter in enumerate("abcdefgh")]
    batches = walk(Directory(everybody))
    assert ids(batches) == {each["id"] for each in everybody}
    assert not left(batches)
    assert torn(batches)
    assert "divided by names" in caplog.text


@pytest.mark.parametrize(("hidden", "whole"), [(("", ""), False), (("", "Ward"), True), (("Anna", ""), True)])
def test_somebody_without_a_name_makes_it_incomplete_or_is_found(hidden, whole):
    everybody = [member(number, SAME, f"A{letter}", f"K{letter}") for number, letter in enumerate("abcdefgh")]
    everybody.insert(0, member(99, SAME, *hidden))
    batches = walk(Directory(everybody))
    assert "M99" in ids(batches)
    assert bool(left(batches)) is not whole
    assert whole or "2020-01-01 00:16:" in left(batches)[0]


def test_addresses_stand_in_for_names():
    everybody = [member(number, SAME, f"A{x}", "", email=f"{x}@example.org") for number, x in enumerate("abcdefgh")]
    assert left(walk(Directory(everybody)))
    batches = walk(Directory(everybody, wild=("firstName", "lastName", "email")))
    assert ids(batches) == {each["id"] for each in everybody}
    assert not left(batches)


def test_namesakes_cannot_be_divided():
    everybody = [member(number, SAME, "Ana", "Silva") for number in range(CAP + 2)]
    batches = walk(Directory(everybody))
    assert len(ids(batches)) == CAP
    assert left(batches)


def test_members_without_a_date_are_found_if_they_opted_out():
    everybody = [member(1), member(2, None, optInStatus="NO"), member(3, None)]
    assert ids(walk(Directory(everybody))) == {"M1", "M2"}
    assert ids(walk(Directory(everybody), opted_out=False)) == {"M1"}


def test_many_who_opted_out_are_divided_by_names():
    everybody = [member(n, None, f"A{x}", f"K{x}", optInStatus="NO") for n, x in enumerate("abcdefghijkl")]
    batches = walk(Directory(everybody))
    assert ids(batches) == {each["id"] for each in everybody}
    assert not left(batches)
    assert batches[-1].position["opted_out"]
    assert not ids(walk(Directory(everybody), batches[-1].position))


def test_a_total_beyond_what_is_shown_says_that_there_are_more():
    everybody = [member(number, number * 1000) for number in range(8)]
    few = Directory(everybody, shape=lambda found: {"records": str(max(2, len(found))), "userDetail": found[:1]})
    # A service that shows one at a time and says so: all but one of a kind are found by narrower windows.
    assert ids(walk(few)) == {each["id"] for each in everybody} or left(walk(few))


@pytest.mark.parametrize(
    "shape",
    [
        lambda found: found,
        lambda found: {str(number): each for number, each in enumerate(found)},
        lambda found: {"userDetail": found[0] if len(found) == 1 else found},
    ],
)
def test_other_shapes_of_the_answer(shape):
    everybody = [member(number, number * 1000) for number in range(8)]
    assert ids(walk(Directory(everybody, shape=shape))) == {each["id"] for each in everybody}


def test_an_answer_that_nobody_understands_ends_it():
    with pytest.raises(ServiceError, match="of no known shape"):
        walk(Directory([member(1)], shape=lambda _found: "fine"))


def test_the_error_names_the_first_parts_only():
    text = str(EnumerationIncompleteError([f"window {number}" for number in range(8)]))
    assert text.startswith("enumeration incomplete")
    assert "window 4" in text
    assert "window 5" not in text
    assert "and 3 more" in text


sizes = st.lists(st.lists(st.integers(0, 30), max_size=9), max_size=9)


@given(sizes, st.integers(1, 7))
def test_regrouped_batches_hold_everybody_once_and_no_position_too_early(numbers, size):
    source = [
        Batch([Candidate(str(each)) for each in some], {"n": place}, left=[f"p{place}"] if place % 3 == 2 else ())
        for place, some in enumerate(numbers)
    ]
    seen = Seen()
    sent = []
    for batch in regrouped(source, seen, size):
        assert len(batch.candidates) <= size
        sent += [each.id for each in batch.candidates]
        if batch.position:
            done = numbers[: batch.position["n"] + 1]
            assert {str(each) for some in done for each in some} <= set(sent)
    seen.close()
    assert sorted(sent) == sorted({str(each) for some in numbers for each in some})
    assert left(source) == [f"p{place}" for place in range(len(numbers)) if place % 3 == 2]


def test_the_last_position_is_given_with_the_last_candidate():
    seen = Seen()
    source = [Batch([Candidate("a"), Candidate("b")], {"n": 1}), Batch([Candidate("c")], {"n": 2})]
    *_, last = regrouped(source, seen, 2)
    seen.close()
    assert ([each.id for each in last.candidates], last.position) == (["c"], {"n": 2})


@given(st.lists(st.integers(0, 40), max_size=30), st.integers(1, 4))
def test_parts_come_in_the_place_of_what_they_are_parts_of(tasks, size):
    def parts(task, _result):
        return (task // 2, task - task // 2) if task > 3 else ()

    def flat(task):
        return [each for part in parts(task, None) for each in flat(part)] or [task]

    with ThreadPoolExecutor(size) as pool:
        done = list(Crew(pool, size).expanded(tasks, lambda task: task * 2, parts))
    assert done == [(each, each * 2) for task in tasks for each in flat(task)]


def test_no_more_is_asked_than_there_is_room_for():
    taken = []

    def tasks():
        for number in range(20):
            taken.append(number)
            yield number

    with ThreadPoolExecutor(2) as pool:
        results = Crew(pool, 2).in_order(tasks(), str)
        assert next(results) == (0, "0")
        assert len(taken) <= 3


def test_pages_are_asked_for_ahead_when_their_number_is_known():
    asked = []

    def ask(number):
        asked.append(number)
        return {"pages": 9}

    with ThreadPoolExecutor(3) as pool:
        pages = PagesAhead(Crew(pool, 3), ask, lambda answer: answer["pages"])
        pages(1)
    assert sorted(asked) == [1, 2, 3, 4]


def test_what_was_taken_before_a_failure_is_done_first():
    def tasks():
        yield from (1, 2)
        raise ServiceError("down")

    with ThreadPoolExecutor(3) as pool:
        results = Crew(pool, 3).in_order(tasks(), str)
        assert [next(results), next(results)] == [(1, "1"), (2, "2")]
        with pytest.raises(ServiceError, match="down"):
            next(results)
