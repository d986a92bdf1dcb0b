"""Digests of fields, which say what has changed, and folded addresses."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from annex_d365.ledger import changed, digest, fold, merged

any_text = st.text(st.characters(exclude_categories=()))
fields = st.dictionaries(any_text, any_text, max_size=8)


# Digests


@given(fields, st.randoms())
def test_digests_do_not_depend_on_order_and_take_12_bytes_a_field(some, random):
    shuffled = list(some.items())
    random.shuffle(shuffled)
    assert digest(dict(shuffled)) == digest(some)
    assert len(digest(some)) == 12 * len(some)


@given(fields, fields)
def test_changed_fields_are_those_that_are_new_or_have_another_value(new, old):
    expected = {name: value for name, value in new.items() if old.get(name) != value}
    assert changed(new, digest(old)) == expected
    assert changed(new, b"") == new


@given(fields, fields)
def test_merged_digests_are_those_of_the_merged_fields(old, new):
    assert merged(digest(old), digest(new)) == digest({**old, **new})


def test_digests_stay_the_same_between_versions():
    assert digest({}) == b""
    assert digest({"email": "a@example.com", "city": ""}).hex() == GOLDEN


GOLDEN = "6a0ba4ce6dddbfaafeb6144679634ae667b93d52c84c2305"


# Folding


@given(any_text)
def test_folding_is_done_once_and_only_for_addresses(text):
    assert fold(fold(text)) == fold(text)
    assert fold(text.replace("@", "")) == text.replace("@", "")


@given(st.text(st.characters(codec="ascii")))
def test_addresses_are_folded_without_case(text):
    assert fold(f"{text}@".upper()) == fold(f"{text}@".lower())
