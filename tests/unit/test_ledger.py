"""What the ledger remembers, whatever happens to it."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from annex_d365.ledger import Claim, Entry, State, digest
from annex_d365.ledger.links import Link, Links
from annex_d365.ledger.tables import decode_text, encode_text

# Entries


def test_an_entry_comes_back_as_it_was_saved_with_run_time_and_stream(book):
    before = time.time()
    saved = Entry("k", "T", State.PENDING, digest({"a": "b"}), "17")
    book.save([saved])
    (entry,) = book.entries(["k", "unknown"]).values()
    assert entry == replace(saved, run="run-1", stream="contacts", at=entry.at)
    assert before <= entry.at <= time.time()


def test_a_given_time_is_kept_but_not_a_given_run(book):
    book.save([Entry("k", "", at=12.5, run="another", stream="another")])
    assert book.entries(["k"])["k"] == Entry("k", "", at=12.5, run="run-1", stream="contacts")


def test_the_last_entry_of_a_key_counts(ledger, book):
    book.save([Entry("k", "first", version="1"), Entry("k", "second", version="2")])
    assert book.entries(["k"])["k"].target == "second"
    ledger(run="run-2").book("members", "contacts").save([Entry("k", "third", State.ERASED)])
    entry = book.entries(["k"])["k"]
    assert (entry.target, entry.state, entry.version, entry.run) == ("third", State.ERASED, "", "run-2")
    assert "third" in book.by_target(["third"])
    assert not book.by_target(["first", "second"])


def test_nothing_to_save_or_ask_is_fine(book):
    book.save([])
    book.release([])
    assert book.entries([]) == book.by_target([]) == book.claim([]) == {}


def test_more_keys_than_a_statement_takes(book):
    keys = [f"k{number}" for number in range(1234)]
    book.save(Entry(key, f"{key}@example.com") for key in keys)
    assert sorted(book.entries(keys)) == sorted(keys)
    assert len(book.by_target(f"{key}@example.com" for key in keys)) == len(keys)
    assert len(book.claim([Claim(key, key, by_id=False) for key in keys])) == len(keys)
    book.claim([Claim(key, f"new {key}", by_id=False) for key in keys])
    assert set(book.claim([Claim("other", key, by_id=False) for key in keys]).values()) == {"other", ""}


def test_entries_by_target_come_from_all_streams_of_the_object_and_from_no_other(ledger, book):
    book.save([Entry("1", "Ann@example.com"), Entry("2", "ANN@example.com", State.RIVAL), Entry("3", "")])
    ledger().book("members", "leads").save([Entry("1", "ann@example.com", State.DELETED)])
    ledger().book("orders", "contacts").save([Entry("1", "ann@example.com")])
    ledger(site="another").book("members", "contacts").save([Entry("1", "ann@example.com")])
    found = book.by_target(["aNN@example.com", "", "bob@example.com"])
    assert list(found) == ["ann@example.com"]
    assert sorted((each.stream, each.key, each.state.value) for each in found["ann@example.com"]) == [
        ("contacts", "1", "settled"),
        ("contacts", "2", "rival"),
        ("leads", "1", "deleted"),
    ]
    assert ledger().book("members", "leads").entries(["2"]) == {}


any_text = st.text(st.characters(exclude_categories=()))
ODD = ["\0", "\x10", "\x100000", "\x10\x10", "a\0b", "\ud800", "\udfff", "\\u0000", "ä\U0001f600", "'; --", "%s"]


def test_texts_that_databases_refuse_are_kept_apart(ledger):
    book = ledger(run="r\0").book("m\0", "s\ud800")
    book.save(Entry(each, each, version=each) for each in ODD)
    found = book.entries(ODD)
    assert {key: (entry.target, entry.version, entry.run, entry.stream) for key, entry in found.items()} == {
        each: (each, each, "r\0", "s\ud800") for each in ODD
    }
    assert {target: [entry.key for entry in entries] for target, entries in book.by_target(ODD).items()} == {
        each: [each] for each in ODD
    }
    assert book.claim([Claim(each, each, by_id=True) for each in ODD]) == {each: each for each in ODD}


@given(any_text, any_text)
@example("\x10", "\x100010")
def test_escaping_texts_is_injective(one, other):
    assert decode_text(encode_text(one)) == one
    assert (encode_text(one) == encode_text(other)) == (one == other)
    assert "\0" not in encode_text(one)
    encode_text(one).encode()


# Targets


def test_the_first_claim_wins_and_targets_are_compared_without_case_if_they_are_addresses(book):
    claims = [Claim("a", "X@example.com", by_id=False), Claim("b", "x@EXAMPLE.com", by_id=False)]
    assert book.claim(claims) == {"X@example.com": "a", "x@EXAMPLE.com": "a"}
    assert book.claim([Claim("c", "ID", by_id=False), Claim("d", "id", by_id=False)]) == {"ID": "c", "id": "d"}


def test_an_id_outranks_another_match_but_not_an_id(book):
    book.claim([Claim("a", "t", by_id=False)])
    assert book.claim([Claim("b", "t", by_id=True), Claim("c", "t", by_id=True)]) == {"t": "b"}
    assert book.claim([Claim("c", "t", by_id=True)]) == {"t": "b"}
    assert book.claim([Claim("b", "t", by_id=False), Claim("c", "t", by_id=True)]) == {"t": "b"}, "still by id"


def test_a_row_gives_up_its_target_only_for_one_that_it_gets(book):
    book.claim([Claim("a", "1", by_id=False), Claim("b", "2", by_id=False)])
    assert book.claim([Claim("a", "2", by_id=False)]) == {"2": "b"}
    assert book.claim([Claim("c", "1", by_id=False)]) == {"1": "a"}, "kept"
    assert book.claim([Claim("a", "3", by_id=False)]) == {"3": "a"}
    assert book.claim([Claim("c", "1", by_id=False)]) == {"1": "c"}, "given up"


def test_a_target_that_is_given_up_can_be_had_by_a_later_claim_of_the_same_call(book):
    book.claim([Claim("a", "1", by_id=False)])
    assert book.claim([Claim("a", "2", by_id=False), Claim("b", "1", by_id=False)]) == {"2": "a", "1": "b"}
    assert book.claim([Claim("b", "3", by_id=False), Claim("b", "4", by_id=False)]) == {"3": "", "4": "b"}


def test_released_targets_are_free(book):
    book.claim([Claim("a", "1", by_id=True), Claim("b", "2", by_id=True)])
    book.release(["a", "unknown"])
    claims = [Claim("c", "1", by_id=False), Claim("d", "2", by_id=False)]
    assert book.claim(claims) == {"1": "c", "2": "b"}


def test_streams_objects_and_sites_claim_apart(ledger, book):
    book.claim([Claim("a", "t", by_id=True)])
    others = (
        ledger().book("members", "leads"),
        ledger().book("orders", "contacts"),
        ledger(site="another").book("members", "contacts"),
    )
    for other in others:
        assert other.claim([Claim("b", "t", by_id=False)]) == {"t": "b"}
        other.release(["a", "b"])
    assert book.claim([Claim("c", "t", by_id=True)]) == {"t": "a"}


def test_nobody_can_claim_no_target(book):
    with pytest.raises(ValueError):
        book.claim([Claim("a", "", by_id=False)])


claims = st.lists(st.builds(Claim, key=st.sampled_from("abcd"), target=st.sampled_from("1234"), by_id=st.booleans()))


@given(claims)
def test_a_target_has_one_holder_and_a_row_one_target(sequence):
    links = Links({"1": Link("a", by_id=False)})
    for claim in sequence:
        before = {target: links.holder(target) for target in "1234"}
        links.claim(claim.key, claim.target, by_id=claim.by_id)
        after = {target: links.holder(target) for target in "1234"}
        held = [key for key in after.values() if key]
        assert len(held) == len(set(held))
        if after[claim.target] == claim.key:
            others = {target: key for target, key in before.items() if target != claim.target}
            assert {t: k for t, k in after.items() if t != claim.target} == {
                target: "" if key == claim.key else key for target, key in others.items()
            }
        else:
            assert after == before
