from __future__ import annotations

from urllib.parse import quote
from xml.etree import ElementTree as ET

import pytest

EDM = "{http://docs.oasis-open.org/odata/ns/edm}"
CONTACT = "EntityDefinitions(LogicalName='contact')"


def test_who_am_i(dataverse):
    reply = dataverse.call("GET", "WhoAmI")
    assert reply.headers["x-ms-dop-hint"] == "4"
    assert b"WhoAmIResponse" in reply.body


def test_service_document_and_csdl_name_the_same_sets(dataverse):
    service = {entry["name"] for entry in dataverse.get("")["value"]}
    root = ET.fromstring(dataverse.call("GET", "$metadata").body)
    sets = {each.attrib["Name"]: each for each in root.iter(f"{EDM}EntitySet")}
    assert service == set(sets) >= {"contacts", "accounts", "cr0dd_loyaltyactivities"}
    types = {each.attrib["Name"]: each for each in root.iter(f"{EDM}EntityType")}
    contact = types["contact"]
    assert contact.find(f"{EDM}Key/{EDM}PropertyRef").attrib["Name"] == "contactid"
    properties = {each.attrib["Name"]: each.attrib["Type"] for each in contact.iter(f"{EDM}Property")}
    assert properties["birthdate"] == "Edm.Date"
    assert properties["_parentcustomerid_value"] == "Edm.Guid"
    for navigation in root.iter(f"{EDM}NavigationProperty"):
        assert navigation.attrib["Type"].removeprefix("mscrm.") in types
        assert navigation[0].attrib["Property"].startswith("_")


def test_the_rows_have_exactly_the_properties_of_the_csdl(dataverse):
    dataverse.organisation.create("contact", {})
    root = ET.fromstring(dataverse.call("GET", "$metadata").body)
    contact = next(each for each in root.iter(f"{EDM}EntityType") if each.attrib["Name"] == "contact")
    row = dataverse.get("contacts")["value"][0]
    assert set(row) - {"@odata.etag"} == {each.attrib["Name"] for each in contact.iter(f"{EDM}Property")}


def test_the_documented_definition_query(dataverse):
    query = (
        "$select=LogicalName,SchemaName,EntitySetName,PrimaryIdAttribute,PrimaryNameAttribute,ChangeTrackingEnabled,"
        "IsOptimisticConcurrencyEnabled,ObjectTypeCode&$expand=Attributes($select=LogicalName,SchemaName,AttributeType,"
        "AttributeTypeName,IsValidForRead,IsValidForCreate,IsValidForUpdate,RequiredLevel,IsPrimaryId,IsPrimaryName,"
        "AttributeOf),Keys($select=LogicalName,KeyAttributes,EntityKeyIndexStatus)"
    )
    body = dataverse.get(CONTACT, query)
    assert body["EntitySetName"] == "contacts"
    assert body["ObjectTypeCode"] == 2
    assert body["MetadataId"]
    assert body["Keys"] == []
    columns = {each["LogicalName"]: each for each in body["Attributes"]}
    assert columns["parentcustomerid"]["AttributeType"] == "Customer"
    assert columns["cr0dd_interests"]["AttributeTypeName"] == {"Value": "MultiSelectPicklistType"}
    assert columns["gendercodename"]["AttributeOf"] == "gendercode"
    assert columns["contactid"]["RequiredLevel"]["Value"] == "SystemRequired"
    assert columns["contactid"]["IsPrimaryId"] is True
    assert columns["modifiedon"]["IsValidForUpdate"] is False
    assert "DisplayName" not in columns["contactid"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("LogicalName eq 'contact'", {"contact"}),
        ("EntitySetName eq 'accounts' or LogicalName eq 'contact'", {"account", "contact"}),
        ("IsCustomEntity eq true", {"cr0dd_loyaltyactivity", "cr0dd_specimen"}),
        ("ChangeTrackingEnabled eq true and not (LogicalName eq 'contact') and ObjectTypeCode eq 1", {"account"}),
        ("CanCreateAttributes/Value eq true and LogicalName eq 'account'", {"account"}),
        ("OwnershipType eq Microsoft.Dynamics.CRM.OwnershipTypes'UserOwned'",
         {"account", "contact", "cr0dd_loyaltyactivity", "cr0dd_specimen"}),
        ("LogicalName eq 'nothing'", set()),
    ],
)  # fmt: skip
def test_filters_of_tables(dataverse, text, wanted):
    body = dataverse.get("EntityDefinitions", f"$select=LogicalName&$filter={quote(text)}")
    assert {each["LogicalName"] for each in body["value"]} == wanted


def cast(dataverse, kind, query=""):
    body = dataverse.get(f"{CONTACT}/Attributes/Microsoft.Dynamics.CRM.{kind}AttributeMetadata", query)
    return {each["LogicalName"]: each for each in body["value"]}


def test_casts_show_the_columns_of_a_type(dataverse):
    assert cast(dataverse, "String", "$select=LogicalName,MaxLength")["firstname"]["MaxLength"] == 50
    assert cast(dataverse, "Money")["creditlimit"]["Precision"] == 4
    dates = cast(dataverse, "DateTime", "$select=LogicalName,DateTimeBehavior")
    assert dates["birthdate"]["DateTimeBehavior"] == {"Value": "DateOnly"}
    assert dates["modifiedon"]["DateTimeBehavior"] == {"Value": "UserLocal"}
    assert cast(dataverse, "Lookup", "$select=LogicalName,Targets")["parentcustomerid"]["Targets"] == [
        "account", "contact",
    ]  # fmt: skip
    choices = cast(dataverse, "Picklist", "$select=LogicalName&$expand=OptionSet,GlobalOptionSet")
    options = choices["gendercode"]["OptionSet"]["Options"]
    assert [(o["Value"], o["Label"]["UserLocalizedLabel"]["Label"]) for o in options] == [(1, "Male"), (2, "Female")]
    assert "gendercodename" not in choices
    many = cast(dataverse, "MultiSelectPicklist", "$expand=OptionSet($select=Options)")
    assert len(many["cr0dd_interests"]["OptionSet"]["Options"]) == 8
    state = cast(dataverse, "State", "$expand=OptionSet")["statecode"]["OptionSet"]["Options"]
    assert [(option["Value"], option["DefaultStatus"]) for option in state] == [(0, 1), (1, 2)]
    assert cast(dataverse, "Status", "$expand=OptionSet")["statuscode"]["OptionSet"]["Options"][1]["State"] == 1
    flags = cast(dataverse, "Boolean", "$expand=OptionSet")["donotemail"]["OptionSet"]
    assert flags["TrueOption"]["Label"]["UserLocalizedLabel"]["Label"] == "Do Not Allow"


def test_plain_attributes(dataverse):
    query = "$filter=" + quote("AttributeType eq Microsoft.Dynamics.CRM.AttributeTypeCode'Memo'")
    body = dataverse.get(f"{CONTACT}/Attributes", query)
    assert {each["LogicalName"] for each in body["value"]} == {"description", "address1_composite"}
    assert body["value"][0]["@odata.type"] == "#Microsoft.Dynamics.CRM.MemoAttributeMetadata"
    one = dataverse.get(f"{CONTACT}/Attributes(LogicalName='firstname')", "$select=LogicalName")
    assert one["LogicalName"] == "firstname"


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("EntityDefinitions(LogicalName='nope')", "", 404),
        (f"{CONTACT}/Attributes(LogicalName='nope')", "", 404),
        (f"{CONTACT}/Nope", "", 404),
        ("EntityDefinitions", "$top=1", 400),
        ("EntityDefinitions", "$select=Nope", 400),
        ("EntityDefinitions", "$filter=Nope%20eq%201", 400),
        (CONTACT, "$expand=Nope", 400),
        (f"{CONTACT}/Attributes", "$expand=OptionSet", 400),
        (f"{CONTACT}/Attributes", "$select=MaxLength", 400),
    ],
)
def test_refused_metadata_queries(dataverse, path, query, status):
    assert dataverse.error("GET", path, query)[:2] == (status, "0x80060888")


def test_lookups_are_relationships(dataverse):
    body = dataverse.get(
        f"{CONTACT}/ManyToOneRelationships", "$filter=" + quote("ReferencingAttribute eq 'parentcustomerid'")
    )
    assert {
        (each["ReferencedEntity"], each["ReferencedAttribute"], each["ReferencingEntityNavigationPropertyName"])
        for each in body["value"]
    } == {
        ("account", "accountid", "parentcustomerid_account"),
        ("contact", "contactid", "parentcustomerid_contact"),
    }
    select = "$select=SchemaName,ReferencingEntity,ReferencingAttribute"
    many = dataverse.get(f"{CONTACT}/OneToManyRelationships", select)["value"]
    assert ("cr0dd_loyaltyactivity", "cr0dd_contact") in {
        (each["ReferencingEntity"], each["ReferencingAttribute"]) for each in many
    }
    assert set(many[0]) == {"MetadataId", "SchemaName", "ReferencingEntity", "ReferencingAttribute"}
    assert dataverse.get(f"{CONTACT}/ManyToManyRelationships")["value"] == []
    expanded = dataverse.get(CONTACT, "$select=LogicalName&$expand=OneToManyRelationships($select=SchemaName)")
    assert {each["SchemaName"] for each in expanded["OneToManyRelationships"]} == {each["SchemaName"] for each in many}


def test_relationships_have_names_of_their_own(dataverse):
    every = dataverse.get("RelationshipDefinitions")["value"]
    assert len({each["SchemaName"] for each in every}) == len({each["MetadataId"] for each in every}) == len(every)
    assert every[0]["@odata.type"] == "#Microsoft.Dynamics.CRM.OneToManyRelationshipMetadata"
    one = dataverse.get("RelationshipDefinitions", f"$filter=SchemaName%20eq%20'{every[3]['SchemaName']}'")["value"]
    assert one == [every[3]]
