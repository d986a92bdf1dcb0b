"""Tables, columns, keys and relationships that clients make (Dataverse page 4)."""

from __future__ import annotations

import json

import pytest
from dataverse_client import ORIGIN, Dataverse
from hypothesis import given
from hypothesis import strategies as st

from annex_d365_sandbox.dataverse import definition_bodies
from annex_d365_sandbox.dataverse.errors import DataverseError
from annex_d365_sandbox.dataverse.models import Organisation
from annex_d365_sandbox.dataverse.tables import SPECIMEN

TABLE = "EntityDefinitions(LogicalName='cr0dd_coupon')"
CRM = "Microsoft.Dynamics.CRM."


def label(text):
    return {"LocalizedLabels": [{"Label": text, "LanguageCode": 1033}]}


def column(kind, name, **more):
    return {"@odata.type": f"{CRM}{kind}AttributeMetadata", "SchemaName": name, "DisplayName": label(name), **more}


def table_body(name="cr0dd_Coupon", **more):
    return {
        "@odata.type": f"{CRM}EntityMetadata",
        "SchemaName": name,
        "DisplayName": label("Coupon"),
        "DisplayCollectionName": label("All coupons"),
        "Description": label("What a member may spend."),
        "OwnershipType": "UserOwned",
        "Attributes": [column("String", "cr0dd_Name", IsPrimaryName=True, MaxLength=150)],
        **more,
    }


@pytest.fixture
def coupons(dataverse):
    assert dataverse.call("POST", "EntityDefinitions", body=table_body()).status == 204
    return dataverse


def add(dataverse, kind, name, **more):
    reply = dataverse.call("POST", f"{TABLE}/Attributes", body=column(kind, name, **more))
    assert reply.status == 204, reply.body
    return reply


def test_a_new_table_is_there_at_once(dataverse):
    reply = dataverse.call("POST", "EntityDefinitions", body=table_body())
    address = reply.headers["OData-EntityId"]
    assert address.startswith(f"{ORIGIN}/api/data/v9.2/EntityDefinitions(")
    definition = dataverse.get(address.removeprefix(f"{ORIGIN}/api/data/v9.2/"), "$expand=Attributes")
    assert definition["EntitySetName"] == "cr0dd_coupons"
    assert (definition["PrimaryIdAttribute"], definition["PrimaryNameAttribute"]) == ("cr0dd_couponid", "cr0dd_name")
    assert definition["DisplayCollectionName"]["UserLocalizedLabel"]["Label"] == "All coupons"
    assert definition["Description"]["UserLocalizedLabel"]["Label"] == "What a member may spend."
    assert definition["IsCustomEntity"] is True
    assert {"createdon", "modifiedon", "ownerid", "statecode"} <= {a["LogicalName"] for a in definition["Attributes"]}
    assert b'Name="cr0dd_coupon"' in dataverse.call("GET", "$metadata").body
    assert "cr0dd_coupons" in {each["name"] for each in dataverse.get("")["value"]}
    made = dataverse.call("POST", "cr0dd_coupons", body={"cr0dd_name": "Ten"}, prefer="return=representation")
    assert json.loads(made.body)["statuscode"] == 1
    assert dataverse.get("cr0dd_coupons")["value"][0]["cr0dd_name"] == "Ten"


@pytest.mark.parametrize(
    ("name", "plural"),
    [
        ("cr0dd_coupon", "cr0dd_coupons"),
        ("cr0dd_activity", "cr0dd_activities"),
        ("cr0dd_day", "cr0dd_days"),
        ("cr0dd_box", "cr0dd_boxes"),
        ("cr0dd_match", "cr0dd_matches"),
    ],
)
def test_set_names(name, plural):
    assert definition_bodies.plural(name) == plural


def test_a_set_name_of_ones_own(dataverse):
    dataverse.call("POST", "EntityDefinitions", body=table_body(EntitySetName="cr0dd_vouchers"))
    assert dataverse.get("cr0dd_vouchers")["value"] == []


@pytest.mark.parametrize(
    ("kind", "more", "values", "code"),
    [
        ("String", {"MaxLength": 3}, ("abc", "abcd"), "0x80044331"),
        ("Memo", {"MaxLength": 3}, ("abc", "abcd"), "0x80044331"),
        ("Integer", {"MinValue": 1, "MaxValue": 5}, (5, 6), "0x8004432f"),
        ("BigInt", {}, (2**60, 1.5), "0x80048d19"),
        ("Decimal", {"MinValue": 0.0, "MaxValue": 9.0, "Precision": 3}, (1.234, 10), "0x80044330"),
        ("Double", {"MinValue": 0.0, "MaxValue": 9.0, "Precision": 5}, (1.5, -1), "0x80044330"),
        ("Money", {"MinValue": 0.0, "MaxValue": 9.0}, (1.5, 10), "0x80044330"),
        ("Boolean", {}, (True, 1), "0x80048d19"),
        ("DateTime", {"Format": "DateOnly"}, ("2026-01-01T00:00:00Z", "x"), "0x80048d19"),
        ("DateTime", {"DateTimeBehavior": {"Value": "DateOnly"}}, ("2026-01-01", "2026-01-01T00:00:00Z"), "0x80048d19"),
        ("Picklist", {"OptionSet": {"Options": [{"Value": 7, "Label": label("Seven")}]}}, (7, 8), "0x8004431A"),
        ("MultiSelectPicklist", {"OptionSet": {"Options": [{}, {}]}}, ("100000000,100000001", "1"), "0x8004431A"),
    ],
)
def test_columns_hold_and_refuse(coupons, kind, more, values, code):
    value, wrong = values
    reply = add(coupons, kind, "cr0dd_Extra", **more)
    assert f"/{TABLE}/Attributes(" in reply.headers["OData-EntityId"]
    coupons.call("POST", "cr0dd_coupons", body={"cr0dd_extra": value})
    assert coupons.get("cr0dd_coupons", "$select=cr0dd_extra")["value"][0]["cr0dd_extra"] == value
    assert coupons.error("POST", "cr0dd_coupons", body={"cr0dd_extra": wrong})[:2] == (400, code)
    definition = coupons.get(f"{TABLE}/Attributes(LogicalName='cr0dd_extra')")
    assert definition["AttributeTypeName"]["Value"].startswith(kind)
    assert definition["IsCustomAttribute"] is True


def test_a_column_keeps_the_rows_and_goes_again(coupons):
    coupons.call("POST", "cr0dd_coupons", body={"cr0dd_name": "Ten"})
    added = add(coupons, "Picklist", "cr0dd_Size", OptionSet={"Options": [{"Value": 1, "Label": label("S")}]})
    assert coupons.get("cr0dd_coupons")["value"][0]["cr0dd_size"] is None
    assert coupons.error("POST", f"{TABLE}/Attributes", body=column("String", "cr0dd_Size"))[:2] == (400, "0x80044363")
    path = added.headers["OData-EntityId"].removeprefix(f"{ORIGIN}/api/data/v9.2/")
    assert coupons.get(path)["LogicalName"] == "cr0dd_size"
    assert coupons.call("DELETE", path).status == 204
    assert "cr0dd_size" not in coupons.get("cr0dd_coupons")["value"][0]
    names = {each["LogicalName"] for each in coupons.get(f"{TABLE}/Attributes")["value"]}
    assert not names & {"cr0dd_size", "cr0dd_sizename"}
    assert coupons.error("DELETE", path)[:2] == (404, "0x80060888")
    add(coupons, "String", "cr0dd_Size")
    coupons.call("POST", "cr0dd_coupons", body={"cr0dd_size": "text now"})


def test_a_column_of_a_standard_table(dataverse):
    dataverse.organisation.create("contact", {"lastname": "Lee"})
    path = "EntityDefinitions(LogicalName='contact')/Attributes"
    assert dataverse.call("POST", path, body=column("String", "new_Nick")).status == 204
    assert dataverse.get("contacts", "$select=lastname,new_nick")["value"][0]["new_nick"] is None
    assert dataverse.error("DELETE", f"{path}(LogicalName='firstname')")[1] == "0x80047008"
    dataverse.organisation.reset()
    assert dataverse.error("GET", "contacts", "$select=new_nick")[0] == 400


def test_a_column_is_changed_by_its_whole_definition(coupons):
    add(coupons, "String", "cr0dd_Code", MaxLength=3)
    path = f"{TABLE}/Attributes(LogicalName='cr0dd_code')"
    whole = coupons.get(f"{path}/{CRM}StringAttributeMetadata") | {"MaxLength": 5, "DisplayName": label("The code")}
    assert coupons.call("PUT", path, body=whole, mscrm_mergelabels="true").status == 204
    after = coupons.get(f"{path}/{CRM}StringAttributeMetadata")
    assert (after["MaxLength"], after["DisplayName"]["UserLocalizedLabel"]["Label"]) == (5, "The code")
    assert coupons.call("POST", "cr0dd_coupons", body={"cr0dd_code": "12345"}).status == 204


def test_a_table_is_changed_and_change_tracking_stays_on(coupons):
    assert coupons.error("GET", "cr0dd_coupons", prefer="odata.track-changes")[1] == "0x80072491"
    coupons.call("PUT", TABLE, body={"DisplayName": label("Voucher"), "ChangeTrackingEnabled": True})
    coupons.call("PUT", TABLE, body={"ChangeTrackingEnabled": False})
    after = coupons.get(TABLE)
    assert (after["DisplayName"]["UserLocalizedLabel"]["Label"], after["ChangeTrackingEnabled"]) == ("Voucher", True)
    assert "@odata.deltaLink" in coupons.get("cr0dd_coupons", prefer="odata.track-changes")
    assert coupons.call("POST", "PublishAllXml", body={}).status == 204
    assert coupons.call("POST", "PublishXml", body={"ParameterXml": "<importexportxml/>"}).status == 204


def test_lookups_come_with_relationships(coupons):
    body = {
        "@odata.type": f"{CRM}OneToManyRelationshipMetadata",
        "SchemaName": "cr0dd_contact_coupon",
        "ReferencedEntity": "contact",
        "ReferencingEntity": "cr0dd_coupon",
        "Lookup": column("Lookup", "cr0dd_Holder"),
    }
    reply = coupons.call("POST", "RelationshipDefinitions", body=body)
    assert reply.status == 204
    holder = coupons.organisation.create("contact", {"lastname": "Lee"})
    bind = {"cr0dd_Holder@odata.bind": f"/contacts({holder})"}
    assert coupons.call("POST", "cr0dd_coupons", body=bind).status == 204
    assert coupons.get("cr0dd_coupons")["value"][0]["_cr0dd_holder_value"] == holder
    assert coupons.error("POST", "cr0dd_coupons", body={"cr0dd_holder@odata.bind": f"/contacts({holder})"})[0] == 400
    found = coupons.get("RelationshipDefinitions", "$filter=SchemaName eq 'cr0dd_contact_coupon'")["value"]
    assert [each["ReferencingEntityNavigationPropertyName"] for each in found] == ["cr0dd_Holder"]
    assert coupons.error("POST", "RelationshipDefinitions", body=body)[1] == "0x8004432B"
    path = reply.headers["OData-EntityId"].removeprefix(f"{ORIGIN}/api/data/v9.2/")
    assert coupons.call("DELETE", path).status == 204
    assert "_cr0dd_holder_value" not in coupons.get("cr0dd_coupons")["value"][0]


def test_a_table_goes_unless_something_leads_to_it(coupons):
    body = {
        "@odata.type": f"{CRM}OneToManyRelationshipMetadata",
        "SchemaName": "cr0dd_coupon_contact",
        "ReferencedEntity": "cr0dd_coupon",
        "ReferencingEntity": "contact",
        "Lookup": column("Lookup", "cr0dd_Coupon"),
    }
    path = coupons.call("POST", "RelationshipDefinitions", body=body).headers["OData-EntityId"]
    assert coupons.error("DELETE", TABLE)[:2] == (400, "0x8004F01F")
    coupons.call("DELETE", path.removeprefix(f"{ORIGIN}/api/data/v9.2/"))
    assert coupons.call("DELETE", TABLE).status == 204
    assert coupons.error("GET", "cr0dd_coupons")[:2] == (404, "0x80060888")
    assert coupons.error("GET", TABLE)[0] == 404
    assert coupons.error("DELETE", "EntityDefinitions(LogicalName='contact')")[1] == "0x80047008"


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("EntityDefinitions", table_body("Coupon"), "0x80044366"),
        ("EntityDefinitions", table_body("other_Coupon"), "0x80044366"),
        ("EntityDefinitions", table_body("cr0dd_Specimen"), "0x80044363"),
        ("EntityDefinitions", table_body(Attributes=[]), "0x8004700e"),
        ("EntityDefinitions", [1], "0x80048d19"),
        ("EntityDefinitions(LogicalName='nope')/Attributes", column("String", "cr0dd_X"), "0x80060888"),
        ("EntityDefinitions(LogicalName='contact')/Attributes", column("Lookup", "cr0dd_X"), "0x80048d19"),
        ("EntityDefinitions(LogicalName='contact')/Attributes", column("String", "x"), "0x80044366"),
        ("EntityDefinitions(LogicalName='contact')/Attributes", column("Picklist", "cr0dd_X"), "0x80048d19"),
    ],
)
def test_refusals(dataverse, path, body, code):
    before = dict(dataverse.organisation.tables)
    assert dataverse.error("POST", path, body=body)[1] == code
    assert dataverse.organisation.tables == before


def test_solutions_and_privileges(dataverse):
    solution = "MSCRM.SolutionUniqueName"
    primary = [column("String", "new_Name", IsPrimaryName=True)]
    call = {"body": table_body("new_Coupon", Attributes=primary), solution.lower(): "LoyaltySandbox"}
    assert dataverse.error("POST", "EntityDefinitions", **call)[1] == "0x80044366"
    assert dataverse.error("POST", "EntityDefinitions", **call | {solution.lower(): "Nope"})[0] == 404
    dataverse.organisation.switches.may_customize = False
    assert dataverse.error("POST", "EntityDefinitions", body=table_body())[:2] == (403, "0x80040220")
    dataverse.organisation.switches.may_customize = True
    assert dataverse.call("POST", "EntityDefinitions", "SolutionUniqueName=Default", body=call["body"]).status == 204


def test_a_restart_keeps_definitions_and_a_reset_forgets_them(coupons):
    add(coupons, "Picklist", "cr0dd_Size", OptionSet={"Options": [{"Value": 1, "Label": label("S")}]})
    coupons.call("POST", f"{TABLE}/Keys", body={"SchemaName": "cr0dd_ByName", "KeyAttributes": ["cr0dd_name"]})
    coupons.call("POST", "cr0dd_coupons", body={"cr0dd_name": "Ten", "cr0dd_size": 1})
    again = Dataverse(coupons.store, coupons.clock)
    assert again.organisation.tables["cr0dd_coupon"] == coupons.organisation.tables["cr0dd_coupon"]
    assert again.get("cr0dd_coupons(cr0dd_name='Ten')")["cr0dd_size"] == 1
    assert again.error("POST", "cr0dd_coupons", body={"cr0dd_size": 2})[1] == "0x8004431A"
    again.organisation.reset()
    assert again.error("GET", "cr0dd_coupons")[0] == 404
    assert "cr0dd_coupon" not in Organisation(coupons.store, coupons.clock).tables
    assert again.call("POST", "EntityDefinitions", body=table_body()).status == 204


NAMES = st.sampled_from(
    "SchemaName DisplayName LocalizedLabels Label Attributes IsPrimaryName OptionSet Options Value MaxLength FormatName"
    " DateTimeBehavior RequiredLevel KeyAttributes EntitySetName TrueOption MinValue @odata.type".split()
)
LEAVES = st.sampled_from(
    ["cr0dd_Name", "cr0dd_name", "x", "", 5, -1.5, True, None]
    + [f"{CRM}{kind}AttributeMetadata" for kind in definition_bodies._MAKERS]
)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=4))


def code_of(read, *args):
    """The code of the refusal; none if there is a declaration."""
    try:
        assert read(*args)
    except DataverseError as error:
        return error.code
    return None


@given(st.dictionaries(NAMES, JSON))
def test_no_body_is_too_odd(body):
    typed = {"SchemaName": "cr0dd_Name", **body}
    nested = {**typed, "Attributes": [{**typed, "IsPrimaryName": True}]}
    codes = {
        code_of(definition_bodies.table_of, typed, ["cr0dd"], 1),
        code_of(definition_bodies.table_of, nested, ["cr0dd"], 1),
        code_of(definition_bodies.attributes_of, typed, ["cr0dd"]),
        code_of(definition_bodies.changed, SPECIMEN.by_name["cr0dd_text"], body),
        code_of(definition_bodies.key_of, SPECIMEN, typed, ["cr0dd"], ""),
    }
    assert codes <= {None, "0x80044366", "0x80048d19", "0x8004700e", "0x80048403", "0x80060888"}


def test_definitions_are_not_patched(coupons):
    assert coupons.error("PATCH", TABLE, body={"DisplayName": label("x")})[:2] == (405, "0x80060888")
