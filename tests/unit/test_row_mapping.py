"""Columns of a stream to columns of a table, without a service."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annex_d365.dataverse.writes import AlternateKey, ColumnDefinition, Guid, Kind, Lookup, TableDefinition, encode
from annex_d365.dataverse.writes.addresses import identity
from annex_d365.errors import RowError
from annex_d365.fields import ACTIVITY_COLUMNS, CONTACT_COLUMNS
from annex_d365.provision import loyalty_tables
from annex_d365.singer.rows import Row
from target_annex.dynamics.current import same
from target_annex.dynamics.mapping import Field, RowMapping, guid
from target_annex.presets import row_preset

ID = "00000000-0000-4000-8000-000000000abc"


def column(name, kind, **more):
    return ColumnDefinition(name, kind, **more)


COLUMNS = {
    each.name: each
    for each in (
        column("itemid", "UniqueidentifierType"),
        column("name", "StringType", max_length=100),
        column("size", "IntegerType"),
        column("price", "DecimalType", precision=4),
        column("sold", "DateTimeType", date_behavior="UserLocal"),
        column("day", "DateTimeType", date_behavior="DateOnly"),
        column("flag", "BooleanType"),
        column("tags", "MultiSelectPicklistType", choices={1: "A", 2: "B", 3: "C"}),
        column("owner", "LookupType", lookups={"person": Lookup("person", "persons", "owner")}),
    )
}
ITEMS = TableDefinition("item", "items", "itemid", COLUMNS)


def mapping(**more):
    fields = [Field(each, name) for name, each in COLUMNS.items() if name != "itemid"]
    defaults = {
        "stream": "items",
        "definition": ITEMS,
        "mode": Kind.UPSERT,
        "key": ["id"],
        "fields": fields,
        "address": {},
        "clear_nulls": False,
        "too_long": "reject",
    }
    return RowMapping(**{**defaults, **more})


def row(**record):
    return Row(record, {"record": record})


def sent(name, value):
    return encode(ITEMS, name, value)


# Keys


@given(st.text(min_size=1).filter(str.strip), st.text(min_size=1).filter(str.strip))
def test_keys_make_guids_that_differ_as_they_do(one, other):
    try:
        first, second = (mapping().target(row(id=each)) for each in (one, other))
    except RowError:
        return  # half of a surrogate pair
    assert (first == second) == (one.strip() == other.strip())
    assert guid(first.value) == first.value


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip), min_size=2, max_size=2)
)
def test_keys_of_several_columns_do_not_run_into_each_other(parts):
    joined = mapping(key=["a", "b"])
    shifted = row(a=parts[0] + ",", b=parts[1])
    assert joined.target(row(a=parts[0], b=parts[1])) != joined.target(shifted)


@pytest.mark.parametrize("text", [ID, ID.upper(), f"{{{ID}}}", f" {ID} "])
def test_guids_of_any_spelling(text):
    assert mapping(address={"itemid": "id"}).target(row(id=text)) == Guid(ID)


@given(st.text())
def test_what_is_no_guid_is_refused_without_its_value(text):
    with pytest.raises(RowError) as error:
        mapping(address={"itemid": "id"}).target(row(id=f"x{text}"))
    assert str(error.value) in {
        "column `id` is not a GUID",
        "column `id` holds half of a surrogate pair",
    }


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.decimals(-(10**9), 10**9, places=4))
def test_an_address_is_the_same_for_a_key_and_its_row(name, price):
    moment = dt.datetime(2026, 3, 1, 12, tzinfo=dt.timezone.utc)
    key = AlternateKey({"name": name, "price": price, "size": 5, "sold": moment, "day": dt.date(2026, 3, 1)})
    read = {
        "day": "2026-03-01",
        "name": name.swapcase() if name.swapcase().casefold() == name.casefold() else name,
        "price": Decimal(f"{price}0000"),
        "size": Decimal(5),
        "sold": "2026-03-01T12:00:00Z",
    }
    assert identity(key) == identity(AlternateKey(read))
    assert identity(key) != identity(AlternateKey({**read, "size": 6}))


# Values


@pytest.mark.parametrize("clear_nulls", [False, True])
@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_column_says_nothing_unless_it_clears(empty, clear_nulls):
    record = row(id="1", name=empty, owner=empty, tags=[], size=0, flag=False)
    values = mapping(clear_nulls=clear_nulls).values(record)
    cleared = {"name": {"name": None}, "owner": {"owner@odata.bind": None}, "tags": {"tags": None}}
    assert values == {**(cleared if clear_nulls else {}), "size": {"size": 0}, "flag": {"flag": False}}


@given(st.text(min_size=101))
def test_a_value_that_does_not_suit_names_the_column_and_not_itself(text):
    with pytest.raises(RowError) as error:
        mapping().values(row(id="1", name=text))
    assert str(error.value).startswith("column `name` cannot be written: ")
    assert text not in str(error.value)


VALUES = {
    "name": st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50),
    "size": st.integers(-(2**31), 2**31 - 1),
    "price": st.decimals(-(10**9), 10**9, places=4),
    "sold": st.datetimes(dt.datetime.fromisoformat("1800-01-01"), dt.datetime.fromisoformat("2200-01-01")).map(
        lambda at: f"{at.isoformat()}Z"
    ),
    "day": st.dates(dt.date(1800, 1, 1)).map(str),
    "flag": st.booleans(),
    "tags": st.lists(st.sampled_from([1, 2, 3]), min_size=1, unique=True),
    "owner": st.uuids().map(str),
}


def as_read(name, members):
    """What the service shows of a value that was written."""
    (value,) = members.values()
    if name == "tags":
        value = ",".join(sorted(value.split(","), reverse=True))
    if name == "owner":
        value = value[len("/persons(") : -1]
    if name == "price":
        value = Decimal(value).quantize(Decimal("1.0000000000"))
    return {COLUMNS[name].property: value}


@given(st.data(), st.sampled_from(sorted(VALUES)))
def test_a_value_is_the_same_as_it_is_read_and_as_no_other(data, name):
    one, other = (sent(name, data.draw(VALUES[name])) for _ in range(2))
    assert same(COLUMNS[name], one, as_read(name, one))
    equal = as_read(name, one) == as_read(name, other)
    assert same(COLUMNS[name], one, as_read(name, other)) == equal
    assert not same(COLUMNS[name], one, {COLUMNS[name].property: None})
    assert not same(COLUMNS[name], sent(name, None), as_read(name, one))


@pytest.mark.parametrize("name", sorted(VALUES))
def test_an_empty_value_is_the_same_as_none(name):
    assert same(COLUMNS[name], sent(name, None), {})
    assert same(COLUMNS[name], sent(name, None), {COLUMNS[name].property: None})


def test_a_lookup_that_is_bound_by_a_key_cannot_be_compared():
    bound = {"owner@odata.bind": f"/persons(code='{ID}')"}
    assert not same(COLUMNS["owner"], bound, {"_owner_value": ID})


# Presets


@pytest.mark.parametrize("prefix", ["cr0dd_", "acme_"])
def test_presets_fill_what_provision_makes(prefix):
    tables = {table.logical_name: table for table in loyalty_tables(prefix)}
    for stream, wanted in (("members", CONTACT_COLUMNS), ("activities", ACTIVITY_COLUMNS)):
        every = {source for each in wanted for source in each.sources}
        preset = row_preset(stream, prefix, every)
        table = tables[preset.object]
        made = {each.logical_name for each in table.columns} | {table.primary_name and table.primary_name.logical_name}
        own = {name for name in preset.fields if name.startswith(prefix)}
        assert own <= made
        assert all(set(key.columns) <= own for key in table.keys)
        assert not row_preset(stream, prefix, ()).fields
        assert set(row_preset(stream, prefix, ["id", "activityId"]).fields.values()) <= {"id", "activityId"}


def test_there_are_the_23_fields_of_the_feature_document():
    assert len(CONTACT_COLUMNS) == 23
    assert row_preset("contacts", "cr0dd_", ["contactid"]) is None
