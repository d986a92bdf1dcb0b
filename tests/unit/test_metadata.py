"""Tables from EntityDefinitions, and the columns of their records."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest
from definitions import CONTACT, Organisation, attribute, entity

from annex_d365.dataverse import metadata
from annex_d365.dataverse.metadata import TABLES_PER_REQUEST, read_tables, table_names
from annex_d365.errors import OutageError


def columns(*attributes, **options):
    table = read_tables(Organisation(entity(attributes=[*attributes])), ["contacts"], **options)["contacts"]
    return table.columns


def test_columns_as_they_can_be_read():
    table = read_tables(Organisation(entity(ChangeTrackingEnabled=True)), ["contacts"])["contacts"]
    assert (table.logical_name, table.entity_set, table.primary_id) == ("contact", "contacts", "contactid")
    assert table.change_tracking
    assert table.replication_key == "modifiedon"
    guid = {"type": ["string", "null"], "format": "uuid"}
    leads_to = {"type": ["string", "null"], "description": "Table of the row that this column leads to"}
    assert table.schema["properties"] == {
        "birthdate": {"type": ["string", "null"], "format": "date"},
        "contactid": guid,
        "_createdby_value": guid,
        "creditlimit": {"type": ["number", "null"]},
        "description": {
            "type": ["string", "null"],
            "maxLength": 2000,
            "title": "Notes",
            "description": "What is known",
        },
        "entityimage": {"type": ["string", "null"], "contentEncoding": "base64"},
        "entityimageid": guid,
        "entityimage_timestamp": {"type": ["integer", "null"]},
        "entityimage_url": {"type": ["string", "null"], "maxLength": 200},
        "fullname": {"type": ["string", "null"], "maxLength": 160, "title": "Full Name", "description": "Full Name"},
        "modifiedon": {"type": ["string", "null"], "format": "date-time"},
        "_new_about_value": guid,
        "_new_about_value_table": leads_to,
        "new_contract": guid,
        "new_contract_name": {"type": ["string", "null"]},
        "new_flag": {"type": ["boolean", "null"]},
        "new_interests": {"type": ["array", "null"], "items": {"type": "integer"}},
        "_ownerid_value": guid,
        "_ownerid_value_table": leads_to,
        "_parentcustomerid_value": guid,
        "_parentcustomerid_value_table": leads_to,
        "statuscode": {"type": ["integer", "null"]},
    }
    assert table.on_demand == {
        *("entityimage", "entityimageid", "entityimage_timestamp", "entityimage_url"),
        *("new_contract", "new_contract_name"),
    }


def test_labels_stand_behind_their_columns():
    names = list(columns(*CONTACT, labels=True))
    labelled = {name for name in names if name.endswith("_label")}
    assert labelled == {
        f"{name}_label"
        for name in (
            *("_createdby_value", "_new_about_value", "_ownerid_value", "_parentcustomerid_value"),
            *("new_flag", "new_interests", "statuscode"),
        )
    }
    owner = names.index("_ownerid_value")
    assert names[owner : owner + 3] == ["_ownerid_value", "_ownerid_value_table", "_ownerid_value_label"]


def test_a_real_column_wins_over_a_label(caplog):
    found = columns(attribute("state", "State"), attribute("state_label", "String", MaxLength=5), labels=True)
    assert found["state_label"].select == "state_label"
    assert "state_label" in caplog.text


def test_an_image_column_that_is_not_readable_has_no_such_companion():
    found = columns(attribute("pic", "Virtual", "ImageType"), attribute("pic_url", "String", IsValidForRead=False))
    assert set(found) == {"pic", "picid", "pic_timestamp"}


def test_one_request_for_several_tables():
    organisation = Organisation(entity(), entity("account", "accounts"))
    assert set(read_tables(organisation, ["con'tacts", "contact", "accounts", "contact"])) == {"contact", "accounts"}
    (asked,) = organisation.asked
    assert "LogicalName%20eq%20'con''tacts'%20or%20EntitySetName%20eq%20'con''tacts'" in asked
    assert asked.endswith("&$expand=Attributes")


def test_many_tables_in_few_requests():
    entities = [entity(f"t{number}", f"t{number}s") for number in range(2 * TABLES_PER_REQUEST + 1)]
    organisation = Organisation(*entities)
    names = [each["LogicalName"] for each in entities]
    assert list(read_tables(organisation, names, parallel=3)) == names
    assert len(organisation.asked) == 3
    assert max(map(len, organisation.asked)) < 32_768 / 4, "names may be longer"


def test_no_names_no_request():
    organisation = Organisation(entity())
    assert read_tables(organisation, []) == {}
    assert organisation.asked == []


@pytest.mark.parametrize("entities", [[], [entity(EntitySetName=None)], [entity(PrimaryIdAttribute=None)]])
def test_no_such_table(entities):
    assert read_tables(Organisation(*entities), ["contact"]) == {}


@pytest.mark.parametrize("attributes", [[CONTACT[0]], [], None])
def test_a_table_without_modifiedon(attributes):
    table = read_tables(Organisation(entity(attributes=attributes)), ["contact"])["contact"]
    assert table.replication_key is None
    assert not table.change_tracking


class Sparse(Organisation):
    """Leaves out the properties of a column's own type, save behind a cast."""

    def answer(self, url):
        if "/Attributes/" not in url.path:
            return super().answer(url)
        assert url.geturl() == (
            "EntityDefinitions(LogicalName='contact')/Attributes/Microsoft.Dynamics.CRM.DateTimeAttributeMetadata"
            "?$select=LogicalName,DateTimeBehavior"
        )
        return [
            {"LogicalName": "birthdate", "DateTimeBehavior": {"Value": "DateOnly"}},
            {"LogicalName": "modifiedon", "DateTimeBehavior": {"Value": "UserLocal"}},
        ]


def test_companions_are_on_demand_however_metadata_lists_them():
    """As columns of the image or file, as columns of their own, or not at all."""
    listed = [attribute("pic", "Virtual", "ImageType"), attribute("pic_url", "String"), attribute("picid", "Virtual")]
    table = read_tables(Organisation(entity(attributes=listed)), ["contact"])["contact"]
    assert set(table.columns) == table.on_demand == {"pic", "picid", "pic_timestamp", "pic_url"}


def test_a_service_that_leaves_out_the_properties_of_types():
    """Values depend on the behaviour of dates; what else is missing may be."""
    bare = [
        {"LogicalName": "birthdate", "AttributeType": "DateTime"},
        {"LogicalName": "modifiedon", "AttributeTypeName": {"Value": "DateTimeType"}},
        {"LogicalName": "ownerid", "AttributeType": "Owner", "DisplayName": {"LocalizedLabels": []}},
        {"LogicalName": "fullname", "AttributeType": "String", "DisplayName": {"LocalizedLabels": [{"Label": "Name"}]}},
    ]
    organisation = Sparse(entity(attributes=bare))
    properties = read_tables(organisation, ["contact"])["contact"].schema["properties"]
    assert len(organisation.asked) == 2
    assert properties["birthdate"]["format"] == "date"
    assert properties["modifiedon"]["format"] == "date-time"
    assert "_ownerid_value_table" in properties
    assert properties["fullname"]["title"] == "Name"


def test_tables_with_rows():
    organisation = Organisation(
        entity(),
        entity("account", "accounts", IsPrivate=False, IsLogicalEntity=None),
        entity("hidden", "hiddens", IsPrivate=True),
        entity("idea", "ideas", IsLogicalEntity=True),
        entity("setless", None),
    )
    assert table_names(organisation) == ["account", "contact"]
    assert len(organisation.asked) == 1


def test_narrowed():
    table = read_tables(Organisation(entity()), ["contact"], labels=True)["contact"]
    assert table.column_name("ownerid") == "_ownerid_value" == table.column_name("_ownerid_value")
    assert table.column_name("fullname") == "fullname"
    assert table.column_name("owneridname") is None
    narrow = table.narrowed(["_ownerid_value", "entityimage"])
    assert list(narrow.columns) == [
        *("contactid", "entityimage", "modifiedon"),
        *("_ownerid_value", "_ownerid_value_table", "_ownerid_value_label"),
    ]
    assert narrow.on_demand == frozenset(), "asked for by name"


@pytest.mark.parametrize("raw", [b'{"LogicalName": "a\x9c"}', b'{"LogicalName": 7}', b"[]"])
def test_a_definition_that_cannot_be_read_is_a_sentence(raw):
    answered = SimpleNamespace(page=lambda url, page_size: SimpleNamespace(value=[msgspec.Raw(raw)]))
    with pytest.raises(OutageError, match="could not be read"):
        metadata._read(answered, "", metadata._table_decoder)
