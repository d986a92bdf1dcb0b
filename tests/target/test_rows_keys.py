"""Which row of a table a row of a stream is, where its key is an odd one; and odd values."""

from __future__ import annotations

import pytest
from crm import ACTIVITIES, ACTIVITY, SPECIMENS, Crm, rows_of

from annex_d365.dataverse.connect import connect
from annex_d365.dataverse.writes import guid_for
from annex_d365.dataverse.writes.provision import apply, plan
from annex_d365.dataverse.writes.specs import KeySpec, TableSpec
from annex_d365.errors import SettingError


@pytest.fixture
def crm(sandbox, tmp_path):
    return Crm(sandbox, tmp_path)


def make_key(crm, *columns, table="cr0dd_LoyaltyActivity"):
    dataverse = connect(crm.config())
    apply(dataverse, plan(dataverse, [TableSpec(table, keys=[KeySpec("cr0dd_SomeKey", "Key", columns)])]))
    crm.forget_log()


def activities(*keys, **columns):
    rows = [{"cr0dd_loyaltyid": key, "cr0dd_points": 1, **columns} for key in keys]
    return rows_of(ACTIVITIES, *rows, key=["cr0dd_loyaltyid"])


def specimen(crm, row):
    """Write one; what became of it, and the row."""
    counts = crm.load(rows_of("specimens", {"id": "1", "cr0dd_name": "n", **row}, key=["id"]), streams=SPECIMENS)
    return counts, next((each for each in crm.rows("cr0dd_specimen") if each["cr0dd_name"] == "n"), None)


def test_another_alternate_key_that_is_taken_is_no_row_that_is_there(crm):
    make_key(crm, "cr0dd_name")
    crm.put(ACTIVITY, cr0dd_loyaltyid="OLD", cr0dd_name="same")
    counts = crm.load(activities("NEW", cr0dd_name="same"), streams={ACTIVITIES: {"mode": "create"}})
    assert counts == {"rejected": 1}


def test_a_key_that_is_written_into_two_columns_is_still_the_alternate_key(crm):
    make_key(crm, "cr0dd_loyaltyid")
    there = crm.put(ACTIVITY, cr0dd_loyaltyid="X1", cr0dd_name="old")
    fields = {"cr0dd_loyaltyid": "no", "cr0dd_name": "no", "cr0dd_points": "p"}
    streams = {"orders": {"object": ACTIVITY, "key": "no", "fields": fields}}
    crm.load(rows_of("orders", {"no": "X1", "p": 5}, key=["no"]), streams=streams)
    assert crm.organisation.get(ACTIVITY, there)["cr0dd_points"] == 5


def test_an_alternate_key_over_a_lookup(crm):
    make_key(crm, "cr0dd_contact", "cr0dd_whole", table="cr0dd_Specimen")
    contact = crm.put(lastname="L")
    there = crm.put("cr0dd_specimen", cr0dd_name="old", cr0dd_contact=contact, cr0dd_whole=4)
    fields = {"cr0dd_contact": "person", "cr0dd_whole": "no", "cr0dd_name": "name"}
    streams = {"s": {"object": "cr0dd_specimens", "key": ["person", "no"], "fields": fields}}
    crm.load(rows_of("s", {"person": contact, "no": 4, "name": "new"}, key=["person", "no"]), streams=streams)
    assert crm.organisation.get("cr0dd_specimen", there)["cr0dd_name"] == "new"


def test_an_alternate_key_whose_index_is_not_built_yet_stops_the_run(crm, monkeypatch):
    monkeypatch.setattr("annex_d365.dataverse.writes.provision._wait_for_keys", lambda *_: None)
    crm.organisation.switches.key_build_seconds = 3600
    make_key(crm, "cr0dd_loyaltyid")
    with pytest.raises(SettingError, match="index is not built yet"):
        crm.load(activities("X1"))


def test_a_row_that_was_erased_stays_so_when_its_table_gets_an_alternate_key(crm):
    crm.load(activities("X1", "X2"))
    crm.organisation.delete(ACTIVITY, guid_for(ACTIVITIES, "X1"))
    assert crm.load(activities("X1", cr0dd_name="a")) == {"erased earlier": 1}
    crm.organisation.delete(ACTIVITY, guid_for(ACTIVITIES, "X2"))
    make_key(crm, "cr0dd_loyaltyid")
    assert crm.load(activities("X1", "X2", cr0dd_name="b")) == {"erased earlier": 2}
    assert not {"X1", "X2"} & crm.activities().keys()


def test_a_key_in_another_case_is_no_change(crm):
    make_key(crm, "cr0dd_loyaltyid")
    crm.put(ACTIVITY, cr0dd_loyaltyid="X1", cr0dd_points=1)
    assert crm.load(activities("x1"), skip_unchanged="read") == {"unchanged": 1}
    assert crm.writes() == []


def test_long_keys_are_read_in_as_many_queries_as_they_take(crm):
    make_key(crm, "cr0dd_loyaltyid")
    rows = activities(*("界" * 95 + f"{number:04d}" for number in range(100)))
    crm.load(rows, skip_unchanged="read")
    assert crm.load(rows, skip_unchanged="read") == {"unchanged": 100}


def test_keys_that_no_address_can_hold_cost_one_query_for_many(crm):
    make_key(crm, "cr0dd_loyaltyid")
    keys = [f"a+{number}@example.org" for number in range(300)]
    crm.load(activities(*keys))
    assert crm.reads(ACTIVITIES) <= 5
    crm.lose_ledger()
    crm.load(activities(*(key.upper() for key in keys), cr0dd_name="again"))
    found = {key.lower(): row["cr0dd_name"] for key, row in crm.activities().items() if "+" in key}
    assert found.keys() == set(keys)
    assert len([key for key in crm.activities() if "+" in key]) == 300, "no row is there twice"
    assert set(found.values()) == {"again"}


def test_a_line_end_in_a_key(crm):
    make_key(crm, "cr0dd_loyaltyid")
    crm.put(ACTIVITY, cr0dd_loyaltyid="a\nb", cr0dd_points=3)
    crm.load(activities("a\nb"))
    assert crm.activities()["a\nb"]["cr0dd_points"] == 1


def test_blanks_around_a_key_make_no_other_row(crm):
    make_key(crm, "cr0dd_loyaltyid")
    crm.load(activities("X1", " X1 "))
    assert [key for key in crm.activities() if "X1" in key] == ["X1"]


@pytest.mark.parametrize(("skip_unchanged", "outcome"), [("off", "deleted"), ("ledger", "erased earlier")])
def test_a_row_that_was_made_again_is_deleted_again_but_for_what_the_ledger_knows(crm, skip_unchanged, outcome):
    make_key(crm, "cr0dd_loyaltyid")
    for expected in ("deleted", outcome):
        crm.put(ACTIVITY, cr0dd_loyaltyid="X1")
        # A value that suits no column does not matter.
        rows = activities("X1", cr0dd_points="many")
        streams = {ACTIVITIES: {"mode": "delete"}}
        assert crm.load(rows, streams=streams, skip_unchanged=skip_unchanged) == {expected: 1}


def test_a_column_whose_name_ends_like_that_of_a_lookup_is_none(crm):
    _, row = specimen(crm, {"cr0dd_text": "right", "cr0dd_text_value": "wrong"})
    assert row["cr0dd_text"] == "right"


def test_of_two_columns_for_one_lookup_the_former_is_written(crm, caplog):
    right, wrong = crm.put(lastname="P"), crm.put(lastname="Q")
    _, row = specimen(crm, {"cr0dd_contact": right, "_cr0dd_contact_value": wrong})
    assert row["cr0dd_contact"] == right
    assert "`cr0dd_contact` and `_cr0dd_contact_value` are one column" in caplog.text


def test_the_name_of_a_lookups_table_that_is_no_text(crm):
    row = {"_cr0dd_customer_value": guid_for("x", "1"), "_cr0dd_customer_value_table": ["contact"]}
    counts, _ = specimen(crm, row)
    assert counts == {"rejected": 1}
    assert "leads to several tables" in crm.reasons()[0]


def test_the_digits_of_a_binary_fraction(crm):
    counts, row = specimen(crm, {"cr0dd_decimal": 0.1 + 0.2})
    assert counts == {"created": 1}
    assert row["cr0dd_decimal"] == 30_000, "0.3, in units of the fifth digit"
