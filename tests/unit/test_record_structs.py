"""Structures hold what dictionaries held."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annex_d365.dataverse.client import Dataverse
from annex_d365.dataverse.columns import Attribute, columns_of, expanded_columns
from annex_d365.dataverse.metadata import Table
from annex_d365.dataverse.record_structs import RecordStructs
from annex_d365.dataverse.records import Records
from annex_d365.errors import OutageError

LABEL = "@OData.Community.Display.V1.FormattedValue"
LEADS_TO = "@Microsoft.Dynamics.CRM.lookuplogicalname"
TABLE = Table(
    "contact",
    "contacts",
    "contactid",
    columns_of(
        [
            Attribute("contactid", "UniqueidentifierType"),
            Attribute("modifiedon", "DateTimeType", date_behavior="UserLocal"),
            Attribute("creditlimit", "MoneyType"),
            Attribute("interests", "MultiSelectPicklistType"),
            Attribute("gendercode", "PicklistType"),
            Attribute("ownerid", "OwnerType"),
            Attribute("fullname", "StringType"),
        ],
        labels=True,
    ),
).with_columns(expanded_columns("tasks"))

nothing = st.none()
ROWS = st.fixed_dictionaries(
    {"contactid": st.uuids().map(str)},
    optional={
        "modifiedon": nothing | st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-01T02:00:00+02:00"]),
        "creditlimit": nothing | st.decimals(0, 9, places=4),
        "interests": nothing | st.sampled_from(["1,2", ""]),
        "gendercode": nothing | st.integers(0, 9),
        f"gendercode{LABEL}": nothing | st.text(),
        f"interests{LABEL}": st.text(),
        "_ownerid_value": nothing | st.uuids().map(str),
        f"_ownerid_value{LEADS_TO}": st.sampled_from(["team", "systemuser"]),
        "fullname": nothing | st.text(),
        "unasked": st.integers(),
        "@odata.etag": st.just('W/"5"'),
        "tasks": st.lists(st.fixed_dictionaries({"subject": st.text(), "@odata.etag": st.just("1")}), max_size=2),
        "tasks@odata.nextLink": st.just("https://example.com"),
    },
)
_encode = msgspec.json.Encoder(decimal_format="number").encode


@given(ROWS, st.lists(st.sampled_from(sorted(TABLE.columns)), unique=True), st.sampled_from([(), ("_sdc_deleted_at",)]))
def test_the_same_records_in_the_same_order(row, names, more):
    raw = msgspec.Raw(_encode(row))
    records = Records(TABLE, names)
    structs = RecordStructs(records, TABLE, more)
    expected = {**records.build(Dataverse.row(None, raw)), **dict.fromkeys(more)}
    decoded = structs.decode(raw)
    assert (decoded.key, decoded.at, decoded.etag) == (
        row["contactid"], row.get("modifiedon"), row.get("@odata.etag")
    )  # fmt: skip
    built = structs.build(decoded)
    assert _encode(built) == _encode(expected)
    assert structs.as_dict(built) == expected


def test_every_digit():
    structs = RecordStructs(Records(TABLE, ["creditlimit"]), TABLE)
    row = structs.decode(msgspec.Raw(b'{"contactid": "a", "creditlimit": 20000.0000}'))
    assert str(structs.as_dict(structs.build(row))["creditlimit"]) == str(Decimal("20000.0000"))


@pytest.mark.parametrize(
    "raw", [b"5", b"[]", b"{}", b'{"contactid": null}', b'{"contactid": "a", "tasks": ' + b"[" * 9999]
)
def test_what_is_no_row(raw):
    with pytest.raises(OutageError):
        RecordStructs(Records(TABLE, ["tasks"]), TABLE).decode(msgspec.Raw(raw))


def test_a_collection_that_is_cut_is_told_once(caplog):
    structs = RecordStructs(Records(TABLE, ["tasks"]), TABLE)
    for _ in range(3):
        structs.build(structs.decode(msgspec.Raw(b'{"contactid": "a", "tasks": [], "tasks@odata.nextLink": "x"}')))
    (warning,) = caplog.records
    assert "more rows" in warning.getMessage()
