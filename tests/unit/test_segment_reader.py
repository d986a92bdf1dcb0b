"""Many segments at once, some of which fail."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from segment_pages import guids

from annex_d365 import http
from annex_d365.dataverse.segments.reader import SegmentReader
from annex_d365.dataverse.segments.segment import Segment
from annex_d365.errors import OutageError, PrivilegeError, ServiceError, SettingError
from annex_d365.gate import Gate


class Scripted:
    """Members as they are scripted: pages, or an error at the end of them."""

    def __init__(self, script):
        self.script = script

    def begin(self, segments):
        assert [each.segment_id for each in segments] == [*self.script]

    def pages(self, segment):
        for each in self.script[segment.segment_id]:
            if isinstance(each, BaseException):
                raise each
            yield each


def read(script, parallel=3, harmless=lambda: None):
    reader = SegmentReader(Scripted(script), Gate(9), parallel, harmless)
    found, failed = {name: [] for name in script}, {}
    for part in reader.parts([Segment(name, "journeys") for name in script]):
        assert not (part.last and part.rows)
        found[part.segment.segment_id] += part.rows
        if part.failure:
            failed[part.segment.segment_id] = part.failure
    return found, failed


@given(st.dictionaries(guids, st.lists(st.lists(st.integers(), max_size=3), max_size=4), max_size=8), st.integers(1, 5))
def test_each_segment_is_read_in_its_order(script, parallel):
    found, failed = read(script, parallel)
    assert found == {name: [row for page in pages for row in page] for name, pages in script.items()}
    assert not failed


def test_a_segment_that_fails_stops_nobody_else():
    refused = [ServiceError("no", status=404), PrivilegeError("client_id", "no"), OutageError("no in time")]
    script = {str(number): [[number], error] for number, error in enumerate(refused)} | {"good": [[9]] * 50}
    found, failed = read(script)
    assert found == {"0": [0], "1": [1], "2": [2], "good": [9] * 50}
    assert failed == {str(number): error for number, error in enumerate(refused)}


def down():
    raise OutageError("down")


OF_ALL = [OutageError("no"), OutageError("no", status=500), SettingError("x", "y"), KeyError()]


@pytest.mark.parametrize("error", OF_ALL)
def test_what_concerns_all_ends_the_run(error):
    with pytest.raises(type(error)):
        read({"bad": [error]} | {str(number): [[number]] * 9 for number in range(9)}, harmless=down)


def test_no_number_of_failures_blocks_the_others():
    bad = {str(number): [OutageError("no", status=504)] for number in range(60)}
    found, failed = read({**bad, "good": [[1]]})
    assert found["good"] == [1]
    assert set(failed) == set(bad)


def test_a_reader_that_is_left_leaves_no_worker():
    parts = SegmentReader(Scripted({"a": [[1]] * 99}), Gate(2), 2, lambda: None).parts([Segment("a", "journeys")])
    next(parts)
    parts.close()
    assert not [each for each in threading.enumerate() if each.name.startswith("segment")]


def test_to_wait_in_line_takes_no_patience(monkeypatch):
    """Nothing was sent meanwhile, so that nothing was tried."""
    monkeypatch.setattr("annex_d365.http.PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr("annex_d365.retry.MAX_PAUSE_SECONDS", 0.01)
    statuses = [503, 200]

    class Session:
        def request(self, *_args, **_options):
            return SimpleNamespace(status_code=statuses.pop(0), headers={})

    monkeypatch.setattr("annex_d365.http.new_session", lambda _bundle: Session())
    client = http.Client("Dataverse", host_setting="organization_url", parallel=1)
    with ThreadPoolExecutor(1) as pool:
        with client.gate.pass_one():
            options = {"auth": None, "explain": lambda _response: OutageError("no", status=503)}
            waiting = pool.submit(client.send, "GET", "https://example.com", **options)
            time.sleep(0.4)
        assert waiting.result().status_code == 200
