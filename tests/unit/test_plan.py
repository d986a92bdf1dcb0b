"""Balanced parts of a table."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from types import SimpleNamespace
from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st

from annex_d365.dataverse.plan import plan
from annex_d365.dataverse.ranges import FORM
from annex_d365.errors import ServiceError
from annex_d365.gate import Gate

BEGIN = datetime(2020, 1, 1, tzinfo=timezone.utc).timestamp()


class Organisation:
    """Counts as the Web API does, no more than ``most`` at once."""

    def __init__(self, seconds, most=50_000):
        self.moments = sorted(datetime.fromtimestamp(BEGIN + each, timezone.utc).strftime(FORM) for each in seconds)
        self.most, self.asked = most, 0
        self.http = SimpleNamespace(gate=Gate(9))

    def rows(self, query):
        assert query.top == 1
        if self.moments:
            yield {"createdon": self.moments[-1 if "desc" in query.orderby[0] else 0]}

    def get(self, url):
        self.asked += 1
        since, before = re.search(r"ge (\S+Z) and createdon lt (\S+Z)", unquote(url)).groups()
        count = sum(since <= each < before for each in self.moments)
        if count > self.most:
            raise ServiceError("too many", status=400, code="0x8004E023")
        return {"value": [{"rows": count}] if count else []}

    def held(self, shard):
        return [each for each in self.moments if (shard.lower or "") <= each < (shard.upper or "9")]


@given(
    st.lists(st.integers(0, 10**8) | st.integers(5 * 10**7, 5 * 10**7 + 50), max_size=120),
    st.integers(1, 9),
    st.integers(5, 200),
)
def test_every_row_is_in_one_part(seconds, shards, most):
    organisation = Organisation(seconds, most)
    parts = plan(organisation, "contacts", shards)
    assert 1 <= len(parts) <= shards
    assert sorted(each for part in parts for each in organisation.held(part)) == organisation.moments
    assert (parts[0].lower, parts[-1].upper) == (None, None)
    assert [part.upper for part in parts[:-1]] == [part.lower for part in parts[1:]]


def test_parts_are_of_about_the_same_size_also_after_an_import():
    """Half of the rows in a year, the other half in one hour."""
    seconds = [number * 6000 for number in range(5000)] + [15_000_000 + number % 3600 for number in range(5000)]
    organisation = Organisation(seconds, most=700)
    parts = plan(organisation, "contacts", 8)
    assert len(parts) == 8
    sizes = [len(organisation.held(part)) for part in parts]
    assert sizes == [part.rows for part in parts]
    assert max(sizes) <= 1.2 * 10_000 / 8
    assert organisation.asked < 400


def test_an_empty_table():
    assert [(part.lower, part.upper, part.rows) for part in plan(Organisation([]), "contacts", 4)] == [(None, None, 0)]
