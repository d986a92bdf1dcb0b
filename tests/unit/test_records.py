"""Records of rows: what is asked for, and what becomes of a row."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annex_d365.dataverse.columns import Attribute, columns_of, expanded_columns
from annex_d365.dataverse.metadata import Table
from annex_d365.dataverse.query import expanded_properties
from annex_d365.dataverse.records import Records
from annex_d365.errors import SettingError

FORMATTED = "@OData.Community.Display.V1.FormattedValue"
LEADS_TO = "@Microsoft.Dynamics.CRM.lookuplogicalname"
ID = "00000000-0000-0000-0000-000000000001"

ATTRIBUTES = [
    Attribute("contactid", "UniqueidentifierType"),
    Attribute("modifiedon", "DateTimeType", date_behavior="UserLocal"),
    Attribute("birthdate", "DateTimeType", date_behavior="DateOnly"),
    Attribute("creditlimit", "MoneyType"),
    Attribute("gendercode", "PicklistType"),
    Attribute("interests", "MultiSelectPicklistType"),
    Attribute("donotemail", "BooleanType"),
    Attribute("ownerid", "OwnerType"),
    Attribute("createdby", "LookupType", targets=("systemuser",)),
    Attribute("fullname", "StringType"),
]


def table(*, labels=False, expand=""):
    columns = columns_of(ATTRIBUTES, labels=labels)
    made = Table("contact", "contacts", "contactid", columns)
    return made.with_columns(expanded_columns(expand)) if expand else made


def records(*names, labels=False, expand=""):
    return Records(table(labels=labels, expand=expand), names)


def test_key_and_bookmark_are_always_asked_for():
    asked = records("fullname")
    assert asked.select == ["fullname", "contactid", "modifiedon"]
    assert (asked.annotations, asked.expand) == ("", "")
    assert asked.build({"fullname": "A", "contactid": ID, "modifiedon": "x", "@odata.etag": "1"}) == {"fullname": "A"}


def test_a_table_without_bookmark():
    bare = Table("t", "ts", "tid", columns_of([Attribute("tid", "UniqueidentifierType")]))
    assert Records(bare, ["tid"]).select == ["tid"]


def test_values_have_the_types_of_the_schema():
    asked = records("modifiedon", "birthdate", "creditlimit", "interests")
    row = {
        "@odata.etag": 'W/"1"',
        "contactid": ID,
        "modifiedon": "2024-05-06T09:08:09+02:00",
        "birthdate": "1999-01-02",
        "creditlimit": Decimal("20000.0000"),
        "interests": "2,3,8",
        "_transactioncurrencyid_value": ID,
    }
    record = asked.build(row)
    assert record == {
        "modifiedon": "2024-05-06T07:08:09Z",
        "birthdate": "1999-01-02",
        "creditlimit": Decimal("20000.0000"),
        "interests": [2, 3, 8],
    }
    assert str(record["creditlimit"]) == "20000.0000", "every digit"


def test_nothing_is_null():
    asked = records(*table(labels=True).columns, labels=True)
    assert asked.build({}) == dict.fromkeys(table(labels=True).columns)


def test_the_table_of_a_lookup_needs_its_annotation():
    asked = records("_ownerid_value_table")
    assert asked.select == ["_ownerid_value", "contactid", "modifiedon"]
    assert asked.annotations == LEADS_TO[1:]
    row = {"_ownerid_value": ID, f"_ownerid_value{LEADS_TO}": "team"}
    assert asked.build(row) == {"_ownerid_value_table": "team"}


def test_labels_need_their_annotation():
    asked = records("gendercode_label", "interests_label", "donotemail_label", "_createdby_value_label", labels=True)
    assert asked.select[:4] == ["gendercode", "interests", "donotemail", "_createdby_value"]
    assert asked.annotations == FORMATTED[1:]
    row = {
        "gendercode": 1,
        f"gendercode{FORMATTED}": "Male",
        f"interests{FORMATTED}": "A; B",
        f"donotemail{FORMATTED}": "Allow",
        f"_createdby_value{FORMATTED}": "S. User",
    }
    assert list(asked.build(row).values()) == ["Male", "A; B", "Allow", "S. User"]


def test_both_annotations_and_no_column_twice():
    names = [name for name in table(labels=True).columns if name.startswith("_ownerid_value")]
    asked = records(*names, labels=True)
    assert asked.annotations == f"{LEADS_TO[1:]},{FORMATTED[1:]}"
    assert asked.select.count("_ownerid_value") == 1


def test_a_column_that_is_not_there():
    with pytest.raises(SettingError, match="`catalog`: table contacts has no column `nope`, `no`; discover it anew"):
        records("fullname", "nope", "no")


EXPAND = "primarycontactid($select=fullname;$expand=ownerid),tasks($filter=contains(subject,'a,)'))"


def test_expanded_properties_are_objects_without_annotations(caplog):
    asked = records("primarycontactid", "tasks", expand=EXPAND)
    assert asked.expand == EXPAND
    assert asked.select == ["contactid", "modifiedon"]
    assert table(expand=EXPAND).schema["properties"]["tasks"] == {"type": ["object", "array", "null"]}
    row = {
        "primarycontactid": {"@odata.etag": "1", "fullname": "A", "ownerid": {"@odata.type": "#x", "name": "B"}},
        "tasks": [{"subject": "a,)", f"code{FORMATTED}": "x", "more@odata.nextLink": "https://example.com"}],
    }
    assert asked.build(row) == {
        "primarycontactid": {"fullname": "A", "ownerid": {"name": "B"}},
        "tasks": [{"subject": "a,)"}],
    }
    assert asked.build({"primarycontactid": None, "tasks": []}) == {"primarycontactid": None, "tasks": []}
    assert not caplog.records


def test_only_selected_properties_are_expanded():
    assert records("tasks", expand=EXPAND).expand == "tasks($filter=contains(subject,'a,)'))"


def test_a_collection_that_is_cut_is_told_once(caplog):
    asked = records("tasks", expand="tasks")
    for _ in range(3):
        asked.build({"tasks": [], "tasks@odata.nextLink": "https://example.com"})
    (warning,) = caplog.records
    assert "more rows" in warning.getMessage()


names = st.from_regex(r"[a-z_]\w*", fullmatch=True)
literals = st.text("a'(),; ").map(lambda text: "'" + text.replace("'", "''") + "'")
options = st.recursive(literals, lambda inner: st.lists(inner, max_size=3).map(lambda each: f"f({','.join(each)})"))


@given(st.dictionaries(names, st.none() | options, min_size=1, max_size=4))
def test_the_parts_of_an_expand(wanted):
    parts = {name: name if option is None else f"{name}($filter={option})" for name, option in wanted.items()}
    assert expanded_properties(", ".join(parts.values())) == parts


@pytest.mark.parametrize("broken", ["", ",", "a,", "a(", "a)", "a)(", "a('", "a b", "a,a", "$select=x", "a('x)"])
def test_no_expand(broken):
    with pytest.raises(ValueError, match="it"):
        expanded_properties(broken)


def test_a_reference_is_named_by_its_property():
    assert expanded_properties("ownerid/$ref") == {"ownerid": "ownerid/$ref"}
