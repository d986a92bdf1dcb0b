"""A column of every kind: its declaration, its values, their formats."""

from __future__ import annotations

import base64
import json
import random

import pytest

from annex_d365_sandbox.specimens import plant_specimens

SPECIMEN = "EntityDefinitions(LogicalName='cr0dd_specimen')"
SHOWN = "OData.Community.Display.V1.FormattedValue"


@pytest.fixture
def rows(dataverse):
    """All specimens with their annotations: usual, largest, smallest, ..., almost empty."""
    org = dataverse.organisation
    org.create("systemuser", {"systemuserid": "0a9e1d6e-5f0a-4a57-9d10-6b1f6f5f0004", "fullname": "Loyalty Sync"})
    org.create("account", {"name": "Shop"})
    org.create("contact", {"firstname": "Ann", "lastname": "Lee"})
    plant_specimens(random.Random(1), org)
    body = dataverse.get("cr0dd_specimens", prefer='odata.include-annotations="*"')
    return {row["cr0dd_name"]: row for row in body["value"]}


@pytest.fixture
def declared(dataverse):
    return {each["LogicalName"]: each for each in dataverse.get(f"{SPECIMEN}/Attributes")["value"]}


@pytest.mark.parametrize(
    ("name", "kinds", "facts"),
    [
        ("cr0dd_text", ("StringType", "String", "String"), {"MaxLength": 4000, "FormatName": {"Value": "Text"}}),
        ("cr0dd_memo", ("MemoType", "Memo", "Memo"), {"MaxLength": 1_048_576}),
        ("cr0dd_whole", ("IntegerType", "Integer", "Integer"), {"MinValue": -(2**31), "MaxValue": 2**31 - 1}),
        ("cr0dd_big", ("BigIntType", "BigInt", "BigInt"), {"MinValue": -(2**63), "MaxValue": 2**63 - 1}),
        ("cr0dd_decimal", ("DecimalType", "Decimal", "Decimal"), {"Precision": 5, "MaxValue": 10**11}),
        ("cr0dd_double", ("DoubleType", "Double", "Double"), {"MinValue": -(10**11)}),
        ("cr0dd_money", ("MoneyType", "Money", "Money"), {"Precision": 4}),
        ("cr0dd_total", ("IntegerType", "Integer", "Integer"), {"SourceType": 1, "IsValidForUpdate": False}),
        ("cr0dd_flag", ("BooleanType", "Boolean", "Boolean"), {"DefaultValue": False}),
        ("cr0dd_size", ("PicklistType", "Picklist", "Picklist"), {"DefaultFormValue": None}),
        ("cr0dd_sizes", ("MultiSelectPicklistType", "MultiSelectPicklist", "Virtual"), {}),
        ("cr0dd_moment", ("DateTimeType", "DateTime", "DateTime"), {"DateTimeBehavior": {"Value": "UserLocal"}}),
        ("cr0dd_wallclock", ("DateTimeType", "DateTime", "DateTime"),
         {"DateTimeBehavior": {"Value": "TimeZoneIndependent"}, "Format": "DateAndTime"}),
        ("cr0dd_day", ("DateTimeType", "DateTime", "DateTime"), {"DateTimeBehavior": {"Value": "DateOnly"}}),
        ("cr0dd_guid", ("UniqueidentifierType", "UniqueIdentifier", "Uniqueidentifier"), {}),
        ("cr0dd_tablename", ("EntityNameType", "EntityName", "EntityName"), {}),
        ("cr0dd_contact", ("LookupType", "Lookup", "Lookup"), {"Targets": ["contact"]}),
        ("cr0dd_regarding", ("LookupType", "Lookup", "Lookup"), {"Targets": ["account", "contact", "systemuser"]}),
        ("cr0dd_customer", ("CustomerType", "Lookup", "Customer"), {"Targets": ["account", "contact"]}),
        ("ownerid", ("OwnerType", "Lookup", "Owner"), {}),
        ("cr0dd_image", ("ImageType", "Image", "Virtual"), {"MaxHeight": 144, "MaxSizeInKB": 10_240}),
        ("cr0dd_image_timestamp", ("BigIntType", "BigInt", "BigInt"), {"IsValidForUpdate": False}),
        ("cr0dd_image_url", ("StringType", "String", "String"), {}),
        ("cr0dd_imageid", ("UniqueidentifierType", "UniqueIdentifier", "Uniqueidentifier"), {}),
        ("cr0dd_file", ("FileType", "File", "Virtual"), {"MaxSizeInKB": 32_768, "IsValidForCreate": False}),
        ("cr0dd_file_name", ("StringType", "String", "String"), {}),
        ("cr0dd_sizename", ("VirtualType", "", "Virtual"), {"AttributeOf": "cr0dd_size"}),
        ("statecode", ("StateType", "State", "State"), {}),
        ("statuscode", ("StatusType", "Status", "Status"), {}),
    ],
)  # fmt: skip
def test_declarations(declared, name, kinds, facts):
    type_name, subtype, attribute_type = kinds
    column = declared[name]
    assert column["AttributeTypeName"] == {"Value": type_name}
    assert column["@odata.type"] == f"#Microsoft.Dynamics.CRM.{subtype}AttributeMetadata"
    assert column["AttributeType"] == attribute_type
    assert {fact: column[fact] for fact in facts} == facts


def test_labels(dataverse, declared):
    def text(label):
        return label["UserLocalizedLabel"]["Label"]

    assert text(declared["cr0dd_wallclock"]["DisplayName"]) == "Wall Clock"
    assert text(declared["cr0dd_whole"]["Description"]) == "A whole number."
    assert text(declared["createdon"]["DisplayName"]) == "Created On"
    assert declared["cr0dd_flag"]["Description"] == {"LocalizedLabels": [], "UserLocalizedLabel": None}
    select = "$select=LogicalName,DisplayName,Description,MaxLength"
    cast = dataverse.get(f"{SPECIMEN}/Attributes/Microsoft.Dynamics.CRM.StringAttributeMetadata", select)
    column = next(each for each in cast["value"] if each["LogicalName"] == "cr0dd_text")
    assert (text(column["DisplayName"]), column["MaxLength"]) == ("Text", 4000)


def test_values_on_the_wire(dataverse, rows):
    row = rows["Specimen 0"]
    assert base64.b64decode(row["cr0dd_image"]).startswith(b"\x89PNG")
    assert row["cr0dd_image_url"].startswith("/Image/download.aspx?Entity=cr0dd_specimen&Attribute=cr0dd_image&Id=")
    assert (row["cr0dd_file"], row["cr0dd_file_name"]) == (row["cr0dd_specimenid"], "receipt.pdf")
    assert row["cr0dd_wallclock"].endswith("Z")
    assert len(row["cr0dd_day"]) == 10
    largest, smallest = rows["Specimen 1"], rows["Specimen 2"]
    assert (largest["cr0dd_big"], smallest["cr0dd_big"]) == (2**63 - 1, -(2**63))
    assert (largest["cr0dd_moment"], smallest["cr0dd_day"]) == ("9999-12-31T23:59:59Z", "1753-01-01")
    assert b'"cr0dd_decimal":100000000000.00000' in dataverse.call("GET", "cr0dd_specimens").body
    empty = rows["Specimen 20"]
    assert {name for name, value in empty.items() if value is not None and name.startswith("cr0dd_")} == {
        "cr0dd_name", "cr0dd_specimenid",
    }  # fmt: skip


def test_formatted_values(rows):
    row = rows["Specimen 0"]
    shown = {name.partition("@")[0] for name in row if name.endswith(SHOWN)}
    assert shown >= {
        "cr0dd_whole", "cr0dd_big", "cr0dd_decimal", "cr0dd_double", "cr0dd_money", "cr0dd_money_base", "cr0dd_total",
        "cr0dd_flag", "cr0dd_size", "cr0dd_moment", "cr0dd_wallclock", "cr0dd_day", "cr0dd_tablename",
        "_cr0dd_contact_value", "_cr0dd_regarding_value", "_cr0dd_customer_value", "_ownerid_value", "statecode",
    }  # fmt: skip
    assert not shown & {"cr0dd_text", "cr0dd_image", "cr0dd_file", "cr0dd_guid", "cr0dd_specimenid"}
    assert row[f"_cr0dd_contact_value@{SHOWN}"] == "Ann Lee"
    assert row["_cr0dd_contact_value@Microsoft.Dynamics.CRM.associatednavigationproperty"] == "cr0dd_Contact"
    names = {"account": "Account", "contact": "Contact", "systemuser": "User"}
    ends = {"account": "Shop", "contact": "Ann Lee", "systemuser": "Loyalty Sync"}
    seen = set()
    for each in rows.values():
        if table := each.get("_cr0dd_regarding_value@Microsoft.Dynamics.CRM.lookuplogicalname"):
            assert each[f"cr0dd_tablename@{SHOWN}"] == names[table]
            assert each[f"_cr0dd_regarding_value@{SHOWN}"] == ends[table]
            seen.add(table)
    assert seen == set(names)
    assert {each.get(f"cr0dd_sizes@{SHOWN}") for each in rows.values()} == {None, "Small", "Small; Large"}


def test_calculated_and_uploaded_columns_cannot_be_written(dataverse):
    body = {"cr0dd_whole": 2, "importsequencenumber": 3, "cr0dd_total": 99, "cr0dd_file_name": "x"}
    reply = dataverse.call("POST", "cr0dd_specimens", body=body, prefer="return=representation")
    row = json.loads(reply.body)
    assert (row["cr0dd_total"], row["cr0dd_file_name"]) == (5, None)


def test_every_value_can_be_written_and_found(dataverse, rows):
    row = next(each for each in rows.values() if each["cr0dd_sizes"])
    columns = ("cr0dd_text", "cr0dd_whole", "cr0dd_big", "cr0dd_decimal", "cr0dd_flag", "cr0dd_size", "cr0dd_sizes",
               "cr0dd_moment", "cr0dd_day", "cr0dd_guid", "cr0dd_tablename")  # fmt: skip
    made = dataverse.call("POST", "cr0dd_specimens", body={name: row[name] for name in columns})
    assert made.status == 204, made.body
    copy = dataverse.get(made.headers["OData-EntityId"].rpartition("/")[2])
    assert {name: copy[name] for name in columns} == {name: row[name] for name in columns}
    assert dataverse.filtered(f"cr0dd_big eq {row['cr0dd_big']}", "cr0dd_specimens", "cr0dd_big")
    assert dataverse.filtered(f"cr0dd_tablename eq '{row['cr0dd_tablename']}'", "cr0dd_specimens", "cr0dd_tablename")
