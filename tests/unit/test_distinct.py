"""Which ids have been there before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from annex_d365.distinct import Distinct, fingerprint

numbers = st.sets(st.integers(-(2**63), 2**63 - 1), max_size=20) | st.builds(set, st.builds(range, st.just(1200)))
any_text = st.text(st.characters(exclude_categories=()))


@given(st.lists(st.tuples(st.integers(0, 2), numbers), max_size=6))
def test_they_are_sets(steps):
    kept, distinct = {}, Distinct()
    for part, ids in steps:
        there = kept.setdefault(part, set())
        assert distinct.among(part, ids) == ids & there
        assert distinct.add(part, ids) == ids - there
        there |= ids


@given(any_text, any_text)
def test_fingerprints_tell_texts_apart(one, other):
    assert (fingerprint(one) == fingerprint(other)) is (one == other)
    assert -(2**63) <= fingerprint(one) < 2**63
