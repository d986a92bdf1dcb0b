"""Who is remembered as a member of a copy."""

from __future__ import annotations

import uuid
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, inspect, text

from annex_d365.ledger import LEARNT, Ledger, Waiting, memberships


@pytest.fixture
def members(ledger):
    return ledger().memberships()


def gone(members, copy):
    return [each for part in members.gone(copy) for each in part]


def test_a_copy_is_not_known_until_it_is_learnt(members):
    assert members.find("550") is None
    copy = members.learn("550", ["b", "a", "a"])
    assert members.find("550") == copy
    assert (copy.number, copy.version, copy.size, copy.unfinished) == (0, "", 0, False)
    assert members.known(copy, ["a", "c"]) == {"a"}


def test_a_copy_that_was_learnt_by_half_is_not_known(members):
    def broken():
        yield "a"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        members.learn("550", broken())
    assert members.find("550") is None
    copy = members.learn("550", ["b"])
    assert members.known(copy, ["a", "b"]) == {"b"}


def test_who_is_not_seen_in_a_pass_is_gone(members):
    copy = members.begin(members.learn("550", ["a", "b", "c"]), "v1")
    assert (copy.number, copy.version, copy.rows, copy.size, copy.complete) == (1, "v1", 0, 3, False)
    copy = members.seen(copy, {"b": 7, "d": 8}, rows=3)
    assert (copy.rows, copy.unfinished) == (3, False)
    assert members.some(copy, 2) == ["a", "b"]
    assert members.count_gone(copy) == 2
    assert gone(members, copy) == ["a", "c"]
    members.forget(copy, ["a"])
    assert gone(members, copy) == ["c"]
    assert members.complete(copy).complete
    assert members.begin(copy, "v2").size == 3


def test_gone_members_may_be_forgotten_on_the_way(members, monkeypatch):
    monkeypatch.setattr(memberships, "BATCH", 3)
    names = [f"{number:02d}" for number in range(10)]
    copy = members.begin(members.learn("550", names), "v1")
    found = []
    for part in members.gone(copy):
        members.forget(copy, [*part][1:])  # the first one stays
        found.append([*part])
    assert found == [names[:3], names[3:6], names[6:9], names[9:]]
    assert gone(members, copy) == names[::3]


def test_copies_and_sites_are_apart(ledger):
    one, other = ledger().memberships(), ledger(site=uuid.uuid4().hex).memberships()
    first = one.learn("550", ["a"])
    second = one.learn("551", ["a"])
    assert other.find("550") is None
    other.learn("550", ["x"])
    one.forget_copy("550")
    assert one.find("550") is None
    assert one.known(first, ["a"]) == set()
    assert one.known(second, ["a"]) == {"a"}
    assert other.find("550") is not None


def test_unfinished_copies(members):
    copies = [members.learn(target, ["a"]) for target in ("550", "551", "552", "553")]
    for copy in (copies[0], copies[2], copies[3]):
        members.shall_go_live(copy)
    members.forget(copies[1], ["a"])  # a change of members alone wants nothing to go live
    members.finished(copies[0])
    members.forget_copy("553")
    assert {each.target for each in members.unfinished()} == {"552"}


def test_who_is_in_doubt_is_neither_known_nor_unknown(members):
    copy = members.begin(members.learn("550", ["a", "b"]), "v1")
    other = members.learn("551", ["a"])
    copy = members.seen(copy, {"a": 1, "b": 2}, rows=2)
    members.doubt([(copy, {"b": 2, "c": 3}), (other, {"d": 4})])
    assert (members.known(copy, ["a", "b", "c", "d"]), members.some(copy, 9)) == ({"a"}, ["a"])
    assert members.known(copy, ["a", "b", "c", "d"], in_doubt=True) == {"b", "c"}
    assert (gone(members, copy), members.begin(copy, "v2").size) == (["b", "c"], 3)
    members.forget(copy, ["b"])
    members.seen(copy, {"c": 3}, rows=1)
    assert members.known(copy, ["a", "b", "c"]) == {"a", "c"}
    assert members.known(other, ["d"], in_doubt=True) == {"d"}


def test_who_is_kept_is_not_gone_and_stays_in_doubt(members):
    copy = members.begin(members.learn("550", ["a", "b"]), "v1")
    members.doubt([(copy, {"c": 3})])
    members.keep(copy, ["a", "c"])
    assert [*members.gone(copy)] == [{"b": LEARNT}]
    assert (members.known(copy, ["a", "c"]), members.known(copy, ["a", "c"], in_doubt=True)) == ({"a"}, {"c"})
    copy = members.begin(copy, "v2")
    assert [*members.gone(copy)] == [{"a": LEARNT, "b": LEARNT, "c": 3}]


def test_by_which_rows_members_were_seen(members):
    """Of a copy that the ledger knew nothing of, that is not known; of one that was forgotten, it never matters."""
    copy = members.begin(members.learn("550", ["a", "b"]), "v1")
    copy = members.begin(members.seen(copy, {"b": -5}, rows=1), "v2")
    assert [*members.gone(copy)] == [{"a": LEARNT, "b": -5}]
    assert members.forget_copy("550")
    assert members.find("550") is None
    copy = members.begin(members.learn("550", ["a"]), "v3")
    assert [*members.gone(copy)] == [{"a": 0}]
    assert not members.forget_copy("551")


def test_another_run_knows_it(ledger):
    before = ledger().memberships()
    copy = before.seen(before.begin(before.learn("550", ["a"]), "v1"), {"a": 1, "b": 2}, rows=2)
    after = ledger(run="run-2").memberships()
    assert after.find("550") == copy
    assert after.known(copy, ["a", "b", "c"]) == {"a", "b"}


def test_a_preview_sees_all_and_changes_nothing(ledger):
    kept = ledger().memberships()
    copy = kept.begin(kept.learn("550", ["a", "b"]), "v1")
    kept.shall_go_live(copy)
    kept.doubt([(copy, {"b": 1})])
    own = ledger(preview=True).memberships()
    seen = own.find("550")
    assert (seen.number, seen.version, seen.size, seen.unfinished) == (1, "v1", 2, True)
    assert own.known(seen, ["a", "b"], in_doubt=True) == {"b"}
    seen = own.seen(own.begin(seen, "v2"), {"b": 1, "c": 2}, rows=2)
    assert gone(own, seen) == ["a"]
    own.forget(seen, ["a"])
    own.forget_copy("550")
    assert own.find("550") is None
    assert kept.find("550") == kept.shall_go_live(copy)
    assert kept.known(copy, ["a", "b", "c"]) == {"a"}
    assert kept.known(copy, ["a", "b", "c"], in_doubt=True) == {"b"}


def test_a_preview_of_no_ledger(tmp_path):
    with closing(Ledger(f"sqlite:///{tmp_path}/none.db", site="s", run="r", preview=True)) as ledger:
        own = ledger.memberships()
        assert own.find("550") is None
        assert own.known(own.learn("550", ["a"]), ["a"]) == {"a"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("preview", [False, True])
def test_a_ledger_of_an_earlier_version_gets_the_tables(tmp_path, preview):
    path = tmp_path / "ledger.db"
    Ledger(f"sqlite:///{path}", site="s", run="r").close()
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        for table in ("annex_d365_copies", "annex_d365_memberships", "annex_d365_waiting"):
            connection.execute(text(f"DROP TABLE {table}"))
    with closing(Ledger(f"sqlite:///{path}", site="s", run="r", preview=preview)) as ledger:
        own = ledger.memberships()
        assert own.find("550") is None
        assert own.waiting.sizes() == {}
        own.learn("550", ["a"])
    assert inspect(engine).has_table("annex_d365_memberships") is not preview
    engine.dispose()


@pytest.mark.parametrize("lost", [{"source"}, {"in_doubt"}, {"source", "in_doubt"}], ids=sorted)
@pytest.mark.parametrize("preview", [False, True])
def test_a_ledger_of_an_earlier_version_gets_the_columns(tmp_path, preview, lost):
    path = tmp_path / "ledger.db"
    with closing(Ledger(f"sqlite:///{path}", site="s", run="r")) as ledger:
        ledger.memberships().learn("550", ["a"])
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        for column in lost:
            connection.execute(text(f"ALTER TABLE annex_d365_memberships DROP COLUMN {column}"))
    with closing(Ledger(f"sqlite:///{path}", site="s", run="r", preview=preview)) as ledger:
        own = ledger.memberships()
        copy = own.begin(own.find("550"), "v1")
        assert [*own.gone(copy)] == [{"a": 0 if "source" in lost else LEARNT}]
        assert own.known(copy, ["a"]) == {"a"}
        own.seen(copy, {"a": -(2**63)}, rows=1)
    columns = {each["name"] for each in inspect(engine).get_columns("annex_d365_memberships")}
    assert (lost <= columns) is not preview
    engine.dispose()


def waiting(*names, member=""):
    return [Waiting(number, name, member) for number, name in enumerate(names)]


def due(members, copy, *, named=False, before=9.0, limit=9):
    return [each.contact for each in members.waiting.due(copy, named=named, before=before, limit=limit)]


def test_rows_wait_the_oldest_first(members):
    copy = members.begin(members.learn("550", []), "v1")
    other = members.begin(members.learn("551", []), "v1")
    members.waiting.put(copy, waiting("a", "b", "c"), at=5)
    members.waiting.put(copy, [Waiting(7, "d", "M7")], at=3)
    members.waiting.put(other, waiting("e"), at=4)
    assert [*members.waiting.sizes().items()] == [("550", 4), ("551", 1)]
    assert due(members, copy, limit=2) == ["a", "b"]
    assert due(members, copy, named=True) == ["d"]
    members.waiting.put(copy, waiting("a"), at=6)
    assert due(members, copy) == ["b", "c", "a"]
    assert due(members, copy, before=6) == ["b", "c"]
    members.waiting.drop(copy, [1, 2, 7])
    assert members.waiting.sizes() == {"551": 1, "550": 1}


def test_rows_wait_until_a_complete_pass_does_not_show_them(members):
    copy = members.begin(members.learn("550", []), "v1")
    members.waiting.put(copy, waiting("a", "b"), at=1)
    copy = members.begin(copy, "v2")
    members.waiting.put(copy, waiting("a"), at=2)
    assert (due(members, copy), members.waiting.sizes()) == (["a"], {"550": 1})
    members.complete(copy)
    members.waiting.put(copy, waiting("c"), at=3)
    assert due(members, copy) == ["c"]


@pytest.mark.parametrize("how", ["forget", "forget_copy", "learn"])
def test_nobody_waits_for_what_is_forgotten(members, how):
    copy = members.begin(members.learn("550", []), "v1")
    members.waiting.put(copy, waiting("a"), at=1)
    if how == "forget":
        members.waiting.forget("550")
    elif how == "forget_copy":
        members.forget_copy("550")
    else:
        copy = members.begin(members.learn("550", []), "v1")
    assert (members.waiting.sizes(), due(members, copy)) == ({}, [])


def test_a_preview_sees_who_waits_and_changes_nothing(ledger):
    kept = ledger().memberships()
    copy = kept.begin(kept.learn("550", []), "v1")
    kept.waiting.put(copy, waiting("a", "b"), at=1)
    own = ledger(preview=True).memberships()
    assert own.waiting.sizes() == {"550": 2}
    seen = own.find("550")
    own.waiting.drop(seen, [0])
    assert (due(own, seen), due(kept, copy)) == (["b"], ["a", "b"])


any_text = st.text(st.characters(exclude_categories=()), max_size=8)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sets(any_text, max_size=8), st.lists(st.sets(any_text, max_size=8), max_size=3))
def test_it_is_a_set(members, first, rounds):
    """Of texts of any characters, whatever joins and leaves."""
    target, there = uuid.uuid4().hex, set(first)
    copy = members.learn(target, first)
    for number, now in enumerate(rounds):
        copy = members.begin(copy, str(number))
        assert copy.size == len(there)
        copy = members.seen(copy, dict.fromkeys(now, 9), rows=len(now))
        assert set(gone(members, copy)) == there - now
        members.forget(copy, gone(members, copy))
        there = now
        assert members.known(copy, sorted(first | there)) == there
