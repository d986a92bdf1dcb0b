"""Tables from EntityDefinitions, and their columns as JSON Schema."""

from __future__ import annotations

import pytest

from annex_d365.dataverse.metadata import read_table
from annex_d365.dataverse.types import COLUMN_TYPES, column_type
from annex_d365.errors import SettingError


def attribute(name, kind, type_name=None, **more):
    type_name = type_name or f"{kind}Type"
    return {"LogicalName": name, "AttributeType": kind, "AttributeTypeName": {"Value": type_name}, **more}


CONTACT = [
    attribute("contactid", "Uniqueidentifier"),
    attribute("fullname", "String"),
    attribute("birthdate", "DateTime"),
    attribute("modifiedon", "DateTime"),
    attribute("creditlimit", "Money"),
    attribute("ownerid", "Owner"),
    attribute("owneridname", "String", AttributeOf="ownerid"),
    attribute("parentcustomerid", "Customer"),
    attribute("new_interests", "Virtual", "MultiSelectPicklistType"),
    attribute("entityimage", "Virtual", "ImageType"),
    attribute("new_secret", "String", IsValidForRead=False),
    attribute("new_flag", "Boolean", AttributeOf=None),
]


class Organisation:
    """Answers as the Web API does, and keeps what it was asked."""

    def __init__(self, *entities):
        self.entities = list(entities)
        self.asked = []

    def get(self, url, prefer=()):
        self.asked.append(url)
        if "DateTimeAttributeMetadata" in url:
            return {
                "value": [
                    attribute("birthdate", "DateTime", DateTimeBehavior={"Value": "DateOnly"}),
                    attribute("modifiedon", "DateTime", DateTimeBehavior={"Value": "UserLocal"}),
                ]
            }
        return {"value": self.entities}


def contact(**more):
    return {
        "LogicalName": "contact",
        "EntitySetName": "contacts",
        "PrimaryIdAttribute": "contactid",
        "Attributes": CONTACT,
        "MetadataId": "m",
        **more,
    }


def test_columns_as_they_can_be_read():
    table = read_table(Organisation(contact()), "contacts")
    assert (table.logical_name, table.entity_set, table.primary_id) == ("contact", "contacts", "contactid")
    assert table.replication_key == "modifiedon"
    properties = table.schema["properties"]
    assert properties == {
        "birthdate": {"type": ["string", "null"], "format": "date"},
        "contactid": {"type": ["string", "null"], "format": "uuid"},
        "creditlimit": {"type": ["number", "null"]},
        "fullname": {"type": ["string", "null"]},
        "modifiedon": {"type": ["string", "null"], "format": "date-time"},
        "new_flag": {"type": ["boolean", "null"]},
        "new_interests": {"type": ["array", "null"], "items": {"type": "integer"}},
        "_ownerid_value": {"type": ["string", "null"], "format": "uuid"},
        "_parentcustomerid_value": {"type": ["string", "null"], "format": "uuid"},
    }


def test_two_requests():
    organisation = Organisation(contact())
    read_table(organisation, "con'tacts")
    assert len(organisation.asked) == 2
    assert "LogicalName%20eq%20'con''tacts'%20or%20EntitySetName%20eq%20'con''tacts'" in organisation.asked[0]


@pytest.mark.parametrize("entities", [[], [contact(EntitySetName=None)], [contact(PrimaryIdAttribute=None)]])
def test_no_such_table(entities):
    with pytest.raises(SettingError, match="`tables`: there is no table `contacts`"):
        read_table(Organisation(*entities), "contacts")


def test_a_table_without_modifiedon():
    entity = contact(Attributes=[attribute("contactid", "Uniqueidentifier")])
    assert read_table(Organisation(entity), "contacts").replication_key is None


def test_every_documented_type_is_in_the_table():
    """The kinds of column of Dataverse page 2.5."""
    documented = """String Memo Integer BigInt Decimal Double Money Boolean DateTime Picklist State Status
        MultiSelectPicklist Lookup Customer Owner PartyList Uniqueidentifier Image File EntityName ManagedProperty
        Virtual CalendarRules""".split()
    assert sorted(COLUMN_TYPES) == sorted(f"{kind}Type" for kind in documented)


def test_an_unknown_type_is_text_with_a_warning(caplog):
    kind = column_type("new_x", "HologramType", date_only=False)
    assert kind.nullable == {"type": ["string", "null"]}
    assert kind.convert(5) == "5"
    assert "HologramType" in caplog.text


@pytest.mark.parametrize(("sent", "value"), [("2,3,8", [2, 3, 8]), ("1", [1]), ("", [])])
def test_choices(sent, value):
    assert COLUMN_TYPES["MultiSelectPicklistType"].convert(sent) == value
