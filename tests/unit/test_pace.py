"""A line now and then."""

from __future__ import annotations

import logging

from annex_d365.singer.pace import Pace


def test_a_line_about_every_ten_seconds(monkeypatch, caplog):
    caplog.set_level("INFO")
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    asked = []
    pace = Pace(
        logging.getLogger("s"), lambda: pace.rows // 50, throttled=lambda: 3.4, total=lambda: asked.append(1) or 10_000
    )
    for _ in range(800):
        now[0] += 0.125
        pace.read()
    pace.finish()
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 9
    assert lines[0] == "100 rows (1 %), 8 rows/s, 2 pages, 3 s throttled"
    assert lines[-1].startswith("Done: 800 rows (100 %), 8 rows/s, 16 pages")
    assert asked == [1]


def test_a_short_run_says_nothing(caplog):
    caplog.set_level("INFO")
    pace = Pace(logging.getLogger("s"))
    for _ in range(1000):
        pace.read()
    pace.finish()
    assert caplog.records == []


def test_more_rows_than_expected_are_not_more_than_all():
    pace = Pace(logging.getLogger("s"), rows=300)
    pace._expected = 200
    assert "(99 %)" in pace.sentence(0)
    assert "(100 %)" in pace.sentence(0, done=True)
