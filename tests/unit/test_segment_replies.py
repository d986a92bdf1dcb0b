"""Shapes of replies with contacts and ids, without a service."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from segment_pages import contact, guids

from annex_d365.dataverse.segments.replies import contacts_in, ids_in
from annex_d365.errors import ServiceError

contacts = st.fixed_dictionaries({"contactid": guids, "lastname": st.text()})
rows = st.lists(contacts, unique_by=lambda row: row["contactid"])


@given(
    rows,
    st.sampled_from(
        [
            lambda found: {"@odata.context": "x", "@odata.count": len(found), "value": found},
            lambda found: {"Contacts": {"Entities": found, "TotalRecordCount": len(found)}, "@odata.context": "x"},
            lambda found: {"Result": json.dumps(found)},
            lambda found: {"value": found, "Errors": [], "Columns": ["contactid"]},
            lambda found: {"Response": json.dumps({"contacts": found, "additionalProperties": {}})},
            lambda found: {"Response": json.dumps({"Body": json.dumps({"Entities": found})})},
        ]
    ),
)
def test_contacts_are_found_in_any_shape(found, shape):
    assert contacts_in(shape(found)) == found


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"value": None},
        {"Result": "ok"},
        {"Result": "{broken"},
        {"Result": 3},
        {"Message": "Timed out.", "Details": []},
        {"value": [{"ContactId": contact(1)}]},
        {"value": [], "Contacts": [{"id": contact(1)}]},
    ],
)
def test_a_reply_without_a_list_is_no_empty_segment(reply):
    with pytest.raises(ServiceError, match="without a list of contacts"):
        contacts_in(reply)


def test_contacts_come_once_and_in_lower_case():
    key = contact(1).replace("4000", "4abc")
    found = contacts_in({"value": [{"contactid": key.upper()}, {"contactid": key}]})
    assert found == [{"contactid": key}]


@pytest.mark.parametrize("row", [{"accountid": "x"}, {"contactid": None}, {"contactid": "x"}, contact(2)])
def test_a_row_that_is_no_contact_is_an_error(row):
    with pytest.raises(ServiceError, match="without an id"):
        contacts_in({"value": [{"contactid": contact(1)}, row]})


@pytest.mark.parametrize("entry", [{"contactid": contact(1)}, None, "x", 5, contact(1) + "0"])
def test_an_entry_that_is_no_id_is_an_error(entry):
    with pytest.raises(ServiceError, match="cannot be read"):
        ids_in([contact(1), entry])
    assert ids_in([contact(1).replace("-", ""), f"{{{contact(2).upper()}}}"]) == [contact(1), contact(2)]


@given(st.lists(guids, unique=True), st.booleans(), st.booleans(), st.booleans())
def test_ids_are_found_in_any_form(ids, prefixed, upper, as_text):
    given_ids = [f"crm{each}" if prefixed else each for each in ids]
    given_ids = [each.upper() if upper else each for each in given_ids]
    value = json.dumps(given_ids) if as_text else given_ids
    assert ids_in(value) == ids
    assert ids_in({"Response": json.dumps({"entityIds": given_ids})}, "Response", "entityIds") == ids


@pytest.mark.parametrize("value", [None, "", "[", "{}", {"other": []}, 5])
def test_no_list_of_ids_is_no_empty_list(value):
    with pytest.raises(ServiceError, match="without a list of ids"):
        ids_in(value, "members")
