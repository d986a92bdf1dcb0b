"""Reading a table in several ranges at once: everything once, and everything again after a crash."""

from __future__ import annotations

import copy
import random
import re
import threading
import time
import zlib
from collections import Counter
from datetime import datetime, timezone
from types import SimpleNamespace
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annex_d365.dataverse.client import ETAG, Dataverse, RawPage
from annex_d365.dataverse.columns import Attribute, columns_of
from annex_d365.dataverse.metadata import Table
from annex_d365.dataverse.query import Query
from annex_d365.dataverse.ranges import FORM, Range, RangeReader
from annex_d365.dataverse.record_structs import RecordStructs
from annex_d365.dataverse.records import Records
from annex_d365.errors import OutageError, PrivilegeError, ServiceError
from annex_d365.gate import Gate
from tap_d365.progress import Progress

COLUMNS = columns_of([Attribute("contactid", "UniqueidentifierType"), Attribute("modifiedon", "DateTimeType")])
TABLE = Table("contact", "contacts", "contactid", COLUMNS)
STRUCTS = RecordStructs(Records(TABLE, COLUMNS), TABLE)
BEGIN = datetime(2025, 1, 1, tzinfo=timezone.utc).timestamp()
YEAR = 365 * 86400


def moment(seconds):
    return datetime.fromtimestamp(BEGIN + seconds, timezone.utc).strftime(FORM)


def row(key, seconds, version=1):
    """Versions are those of a database: no two rows share one."""
    etag = f'W/"{zlib.crc32(key.encode())}{version}"'
    return {"contactid": key, "modifiedon": None if seconds is None else moment(seconds), ETAG: etag}


class Service:
    """Pages of rows, as the Web API makes them: each page is a new query."""

    row = Dataverse.row

    def __init__(self, rows, pause=0.0):
        self.http = SimpleNamespace(gate=Gate(99))
        self.rows, self.pause = rows, pause
        self.asked, self.sizes, self.in_flight, self.most = [], [], 0, 0
        self.fail_at = None
        self._lock = threading.Lock()

    def page(self, url, page_size, annotations=""):
        with self._lock:
            self.asked.append(url)
            self.in_flight += 1
            self.most = max(self.most, self.in_flight)
            if self.fail_at is not None and len(self.asked) >= self.fail_at:
                self.in_flight -= 1
                raise OutageError("down")
        time.sleep(self.pause)
        options = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert options["$orderby"] == "modifiedon,contactid"
        found = [each for each in self.rows if self._fits(each, options.get("$filter", ""))]
        found.sort(key=lambda each: (each["modifiedon"] or "", each["contactid"]))
        after = options.get("after")
        if after:
            found = [each for each in found if f"{each['modifiedon'] or ''}!{each['contactid']}" > after]
        page, more = found[:page_size], found[page_size:]
        link = None
        if more:
            base = url.partition("&after=")[0]
            link = f"{base}&after={page[-1]['modifiedon'] or ''}!{page[-1]['contactid']}"
        with self._lock:
            self.in_flight -= 1
        raws = [msgspec.Raw(msgspec.json.encode(each)) for each in page]
        size = sum(len(bytes(raw)) for raw in raws)
        with self._lock:
            self.sizes.append(size)
        return RawPage(raws, link, size=size)

    @staticmethod
    def _fits(each, condition):
        condition = unquote(condition)
        at = each["modifiedon"]
        if "eq null" in condition and at is None:
            return True
        since, before = re.search(r"ge (\S+Z)", condition), re.search(r"lt (\S+Z)", condition)
        if (since or before) and at is None:
            return False
        return not (since and at < since[1]) and not (before and at >= before[1])


def reader(service, *, page_size=5, parallel=4, now=YEAR):
    return RangeReader(
        service,
        Query("contacts", select=("contactid",)),
        column="modifiedon",
        key="contactid",
        page_size=page_size,
        parallel=parallel,
        run_start=moment(now),
        decode=STRUCTS.decode,
    )


def read(service, state, *, page_size=5, parallel=4, now=YEAR, stop_after=None):
    """A run, as the stream does it; what it sent, and the state as it was after each row."""
    progress = Progress(
        state, TABLE, state.get("replication_key_value"), state.get("replication_key_value"), moment(now)
    )
    sent, states = [], []
    for part in reader(service, page_size=page_size, parallel=parallel, now=now).parts(progress.ranges):
        for chunk in progress.chunks(part, 3):
            for each in chunk.new:
                if stop_after is not None and len(sent) >= stop_after:
                    return sent, states
                sent.append((each.key, each.etag))
                states.append(copy.deepcopy(state))
            progress.note(chunk)
            if states:
                states[-1] = copy.deepcopy(state)
    progress.finish("modifiedon")
    markers = state.pop("progress_markers")
    if "replication_key_value" in markers:
        state["replication_key_value"] = min(markers["replication_key_value"], moment(now))
    return sent, states


SECONDS = st.one_of(
    st.none(), st.integers(0, YEAR), st.integers(YEAR // 2, YEAR // 2 + 100), st.integers(YEAR, 2 * YEAR)
)


@given(st.lists(SECONDS, max_size=60), st.integers(1, 9), st.integers(1, 6))
def test_everything_once(times, page_size, parallel):
    rows = [row(f"c{number:03}", seconds) for number, seconds in enumerate(times)]
    sent, _ = read(Service(rows), {}, page_size=page_size, parallel=parallel)
    assert Counter(key for key, _ in sent) == Counter(each["contactid"] for each in rows)


@given(st.lists(SECONDS, min_size=1, max_size=40), st.integers(0, 2**32))
def test_everything_again_after_a_crash(times, seed):
    """From any state that the killed run has written, with changes in the meantime; the bookmark never hides one."""
    chance = random.Random(seed)
    rows = {f"c{number:03}": row(f"c{number:03}", seconds) for number, seconds in enumerate(times)}
    service, state, seen, now = Service(list(rows.values())), {}, set(), YEAR
    for version in range(2, 5):
        sent, states = read(
            service, state, page_size=chance.randrange(1, 6), parallel=chance.randrange(1, 4), now=now,
            stop_after=chance.randrange(len(rows)) if chance.random() < 0.7 else None,
        )  # fmt: skip
        if "ranges" in state:
            if states:
                kept = chance.randrange(len(states))
                state = states[kept]
                sent = sent[: kept + 1]
            state.pop("progress_markers", None)
        seen.update(sent)
        now += chance.randrange(1, 1000)
        for key in chance.sample(sorted(rows), chance.randrange(len(rows))):
            rows[key] = row(key, now, version)
        service.rows = list(rows.values())
    sent, _ = read(service, state, now=now + 10)
    seen.update(sent)
    assert {(key, each[ETAG]) for key, each in rows.items()} <= seen
    again, _ = read(service, state, now=now + 20)
    assert again == []


def test_an_afternoon_of_imports_is_read_by_all():
    """100 rows in two years, then 3,000 in three hours: the workers find the crowd."""
    chance = random.Random(1)
    times = [chance.randrange(0, YEAR) for _ in range(100)]
    times += [YEAR // 2 + chance.randrange(3 * 3600) for _ in range(3000)]
    service = Service([row(f"c{number:05}", seconds) for number, seconds in enumerate(times)], pause=0.01)
    sent, _ = read(service, {}, page_size=50, parallel=8)
    assert len(set(sent)) == len(sent) == 3100
    assert service.most > 4
    first_pages = [url for url in service.asked if "after=" not in url]
    assert len(first_pages) < 80, "cuts in vain"


def test_no_more_in_flight_than_allowed():
    service = Service([row(f"c{number:03}", number * 1000) for number in range(300)], pause=0.005)
    read(service, {}, page_size=10, parallel=3)
    assert 1 < service.most <= 3


def test_a_small_run_is_one_request():
    service = Service([row("a", 5), row("b", 6)])
    read(service, {}, page_size=5, parallel=8)
    assert len(service.asked) == 1


def test_pages_wait_until_there_is_room():
    """Workers do not run ahead of a slow target."""
    service = Service([row(f"c{number:03}", number * 1000) for number in range(400)])
    parts = reader(service, page_size=10, parallel=3).parts([Range()])
    next(parts)
    time.sleep(0.1)
    assert len(service.asked) <= 3 + 2
    parts.close()


BUDGET = 40_000


@pytest.fixture
def small_budget(monkeypatch):
    monkeypatch.setattr("annex_d365.dataverse.budget.BYTES_IN_FLIGHT", BUDGET)
    monkeypatch.setattr("annex_d365.dataverse.budget.PROBE_ROWS", 10)


def wide(number, seconds, width):
    return row(f"c{number:04}", seconds) | {"text": "x" * width}


@pytest.mark.parametrize("parallel", [1, 4])
def test_pages_are_as_large_as_their_rows_allow(small_budget, parallel):
    """Rows get four times as large on the way, and then small again."""
    rows = [wide(number, number * 60, 400 if number < 600 else 1600 if number < 900 else 40) for number in range(1500)]
    service = Service(rows)
    sent, _ = read(service, {}, page_size=5000, parallel=parallel)
    assert Counter(key for key, _ in sent) == Counter(each["contactid"] for each in rows)
    share = BUDGET / (parallel + 1)
    too_large = [size for size in service.sizes if size > 2 * share]
    assert max(service.sizes) < 4.5 * share, "a page that begins with small rows"
    # Each worker may meet the larger rows with pages for small ones, once.
    assert len(too_large) <= 2 * parallel
    assert sum(service.sizes) / len(service.sizes) > share / 5, "no more requests than it takes"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(SECONDS, st.sampled_from([1, 300, 3000])), max_size=80),
    st.integers(1, 3),
    st.sampled_from([2_000, 20_000, 200_000]),
)
def test_everything_once_whatever_the_rows_take(small_budget, times, parallel, budget):
    rows = [wide(number, seconds, width) for number, (seconds, width) in enumerate(times)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("annex_d365.dataverse.budget.BYTES_IN_FLIGHT", budget)
        patch.setattr("annex_d365.dataverse.budget.PROBE_ROWS", 3)
        sent, _ = read(Service(rows), {}, page_size=50, parallel=parallel)
    assert Counter(key for key, _ in sent) == Counter(each["contactid"] for each in rows)


def test_a_row_that_changes_while_the_size_does_is_read_again(small_budget):
    """It keeps its second, at which the new query begins."""
    rows = [wide(number, min(number, 9), 8000) for number in range(40)]
    service = Service(rows)
    original = service.page

    def page(url, page_size, annotations=""):
        found = original(url, page_size, annotations)
        if len(service.asked) == 1:
            rows[9] = row("c0009", 9, version=2)
        return found

    service.page = page
    sent, _ = read(service, {}, page_size=5000, parallel=1)
    assert len(service.asked) > 2
    assert sent.count(("c0009", rows[9][ETAG])) == 1
    assert len(sent) == len(rows) + 1


def test_no_page_is_fetched_ahead_of_a_top():
    service = Service([row(f"c{number:03}", number) for number in range(50)])
    made = RangeReader(
        service,
        Query("contacts", select=("contactid",), top=10),
        column="modifiedon",
        key="contactid",
        page_size=10,
        parallel=4,
        run_start=moment(YEAR),
    )
    parts = made.parts([Range()])
    assert len(list(next(parts).rows)) == 10
    time.sleep(0.05)
    assert len(service.asked) == 1
    parts.close()


def test_a_failure_does_not_wait_for_those_that_are_paused():
    """One worker is refused while the others have to wait for five minutes."""

    class Refusing(Service):
        def page(self, url, page_size, annotations=""):
            with self._lock:
                self.asked.append(url)
                number = len(self.asked)
            if number == 1:
                self.http.gate.pause(300)
                with self.http.gate.pass_one():
                    raise AssertionError
            time.sleep(0.1)
            raise PrivilegeError("client_id", "may not.")

    service, before, started = Refusing([]), threading.active_count(), time.monotonic()
    with pytest.raises(PrivilegeError):
        list(reader(service, parallel=2).parts([Range(hi=moment(5)), Range(lo=moment(5))]))
    assert time.monotonic() - started < 2
    assert threading.active_count() == before
    assert service.http.gate.allowed == 49, "for others the gate is not closed, but still paused"


@pytest.mark.parametrize("fail_at", [1, 3, 9])
def test_an_error_ends_all(fail_at):
    service = Service([row(f"c{number:03}", number * 1000) for number in range(400)], pause=0.001)
    service.fail_at = fail_at
    before = threading.active_count()
    with pytest.raises(OutageError, match="down"):
        read(service, {}, page_size=5, parallel=4)
    assert threading.active_count() == before


def test_a_run_that_is_closed_leaves_no_worker():
    service = Service([row(f"c{number:03}", number * 1000) for number in range(400)])
    before = threading.active_count()
    parts = reader(service, page_size=5, parallel=4).parts([Range()])
    next(parts)
    parts.close()
    assert threading.active_count() == before


def test_links_in_a_circle():
    class Circle(Service):
        def page(self, url, page_size, annotations=""):
            page = super().page(url, page_size, annotations)
            return RawPage(page.value, "contacts?again")

    with pytest.raises((ServiceError, KeyError)):
        read(Circle([row("a", 1)]), {}, parallel=1)


@pytest.mark.parametrize(
    ("given_range", "condition"),
    [
        (Range(), ""),
        (Range(lo="2025-01-01T00:00:00Z"), "modifiedon ge 2025-01-01T00:00:00Z"),
        (Range(hi="2025-01-02T00:00:00Z"), "modifiedon lt 2025-01-02T00:00:00Z or modifiedon eq null"),
        (
            Range("2025-01-01T00:00:00Z", "2025-01-02T00:00:00Z", "2025-01-01T12:00:00Z"),
            "(modifiedon ge 2025-01-01T12:00:00Z) and (modifiedon lt 2025-01-02T00:00:00Z)",
        ),
    ],
)
def test_conditions(given_range, condition):
    assert given_range.condition("modifiedon") == condition
