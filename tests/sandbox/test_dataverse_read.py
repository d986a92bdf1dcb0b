from __future__ import annotations

import json
import re
from urllib.parse import quote, unquote
from xml.etree import ElementTree as ET

import pytest
from dataverse_client import ORIGIN

A, B, C = (f"{n}0000000-0000-4000-8000-00000000000{n}" for n in "abc")


def contacts(dataverse, count, **columns):
    """Contacts whose ids count up; a column may be a function of the number."""
    made = []
    for number in range(count):
        row = {"contactid": f"{number:08x}-0000-4000-8000-000000000000", "lastname": f"N{number}"}
        row |= {name: value(number) if callable(value) else value for name, value in columns.items()}
        made.append(dataverse.organisation.create("contact", row))
    return made


def test_a_collection_reply_has_the_documented_members_and_headers(dataverse):
    dataverse.organisation.create("contact", {"contactid": A, "firstname": "Ann", "lastname": "Lee"})
    reply = dataverse.call("GET", "contacts", "$select=fullname")
    assert json.loads(reply.body) == {
        "@odata.context": f"{ORIGIN}/api/data/v9.2/$metadata#contacts(fullname)",
        "value": [{"@odata.etag": 'W/"1"', "fullname": "Ann Lee", "contactid": A}],
    }
    assert reply.headers["OData-Version"] == "4.0"
    assert reply.headers["Content-Type"] == "application/json; odata.metadata=minimal"
    assert reply.headers["REQ_ID"] == reply.headers["x-ms-service-request-id"]


def test_without_select_all_columns_come_with_nulls_and_no_shadows(dataverse):
    dataverse.organisation.create("contact", {"contactid": A})
    (row,) = dataverse.get("contacts")["value"]
    assert len(row) > 80
    assert row["firstname"] is None
    assert row["_parentcustomerid_value"] is None
    assert "gendercodename" not in row


def test_values_have_the_documented_types(dataverse):
    dataverse.organisation.create(
        "contact",
        {
            "creditlimit": 20_000_0000,
            "birthdate": "1980-02-29",
            "donotemail": 1,
            "cr0dd_interests": "2,3,8",
            "gendercode": 2,
            "overriddencreatedon": "2023-04-07T21:59:01",
        },
    )
    reply = dataverse.call("GET", "contacts", "$select=creditlimit,birthdate,donotemail,cr0dd_interests,createdon")
    assert b'"creditlimit":20000.0000' in reply.body
    (row,) = json.loads(reply.body)["value"]
    assert row["birthdate"] == "1980-02-29"
    assert row["donotemail"] is True
    assert row["cr0dd_interests"] == "2,3,8"
    assert row["createdon"] == "2023-04-07T21:59:01Z"
    assert re.fullmatch("[0-9a-f-]{36}", row["_transactioncurrencyid_value"]), "money brings its currency"


def test_annotations(dataverse):
    org = dataverse.organisation
    account = org.create("account", {"name": "Shop"})
    org.create(
        "contact",
        {
            "contactid": A,
            "parentcustomerid": account,
            "parentcustomerid__table": "account",
            "cr0dd_interests": "1,3",
            "creditlimit": 12_345_600,
            "statecode": 1,
            "birthdate": "1980-02-09",
            "overriddencreatedon": "2023-04-07T12:05:00",
        },
    )
    query = "$select=_parentcustomerid_value,cr0dd_interests,creditlimit,statecode,birthdate,createdon,gendercode"
    body = dataverse.get("contacts", query, prefer='odata.include-annotations="*"')
    (row,) = body["value"]
    shown = "OData.Community.Display.V1.FormattedValue"
    assert row[f"_parentcustomerid_value@{shown}"] == "Shop"
    assert row["_parentcustomerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"] == "account"
    assert (
        row["_parentcustomerid_value@Microsoft.Dynamics.CRM.associatednavigationproperty"] == "parentcustomerid_account"
    )
    assert row[f"cr0dd_interests@{shown}"] == "Fashion; Sports"
    assert row[f"creditlimit@{shown}"] == "$1,234.56"
    assert row[f"statecode@{shown}"] == "Inactive"
    assert row[f"birthdate@{shown}"] == "2/9/1980"
    assert row[f"createdon@{shown}"] == "4/7/2023 12:05 PM"
    assert f"gendercode@{shown}" not in row, "a null has no annotation"
    assert body["@Microsoft.Dynamics.CRM.totalrecordcount"] == -1
    only = dataverse.get("contacts", query, prefer=f'odata.include-annotations="{shown}"')["value"][0]
    assert f"statecode@{shown}" in only
    assert not any("lookuplogicalname" in name for name in only)


@pytest.mark.parametrize(
    "order",
    ["", "modifiedon", "modifiedon desc", "modifiedon,contactid", "nickname", "nickname desc,lastname",
     "contactid desc",
     "_parentcustomerid_value", "creditlimit desc", "parentcustomerid_account/name"],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 3, 7])
def test_paging_sees_every_row_once_in_order(dataverse, order, size):
    dataverse.clock.freeze(dataverse.clock.now())  # all rows share one modifiedon
    shops = [dataverse.organisation.create("account", {"name": name}) for name in "BA"]
    wanted = contacts(
        dataverse,
        13,
        nickname=lambda n: (None, "x & <'\">", "X & <'\">", "y\u0001")[n % 4],
        creditlimit=lambda n: n % 3 or None,
        parentcustomerid=lambda n: (None, *shops)[n % 3],
        parentcustomerid__table=lambda n: (None, "account", "account")[n % 3],
    )
    query = "$select=nickname" + (f"&$orderby={quote(order)}" if order else "")
    pages = list(dataverse.pages("contacts", query, prefer=f"odata.maxpagesize={size}"))
    seen = [row["contactid"] for page in pages for row in page["value"]]
    assert sorted(seen) == wanted
    assert seen == [row["contactid"] for row in dataverse.get("contacts", query)["value"]]
    assert [len(page["value"]) for page in pages[:-1]] == [size] * (len(pages) - 1)


def test_the_next_link_has_the_documented_form(dataverse):
    first, second = contacts(dataverse, 3)[:2]
    body = dataverse.get("contacts", "$select=fullname", prefer="odata.maxpagesize=2")
    link = body["@odata.nextLink"]
    inner = f'<cookie page="1"><contactid last="{{{second.upper()}}}" first="{{{first.upper()}}}" /></cookie>'
    assert link.startswith(
        f"{ORIGIN}/api/data/v9.2/contacts?$select=fullname&$skiptoken=%3Ccookie%20pagenumber=%222%22%20pagingcookie=%22"
        "%253ccookie%2520page%253d%25221%2522%253e%253ccontactid%2520last%253d%2522%257b"
    )
    assert link.endswith("%253c%252fcookie%253e%22%20istracking=%22False%22%20/%3E")
    outer = ET.fromstring(unquote(link.partition("$skiptoken=")[2]))
    assert unquote(outer.attrib["pagingcookie"]) == inner


def test_each_page_is_a_new_query(dataverse):
    contacts(dataverse, 4)
    first = dataverse.get("contacts", "$select=lastname", prefer="odata.maxpagesize=2")
    dataverse.organisation.create("contact", {"contactid": "00000001-0000-4000-8000-00000000000f"})
    dataverse.organisation.delete("contact", "00000003-0000-4000-8000-000000000000")
    rest = dataverse.get("contacts", first["@odata.nextLink"].partition("?")[2], prefer="odata.maxpagesize=2")
    assert [row["contactid"][:8] for row in rest["value"]] == ["00000001", "00000002"]


def test_order_by_nulls_first_and_text_without_case(dataverse):
    for name in ("b", None, "A", "C"):
        dataverse.organisation.create("contact", {"nickname": name})
    body = dataverse.get("contacts", "$select=nickname&$orderby=nickname%20asc")
    assert [row["nickname"] for row in body["value"]] == [None, "A", "b", "C"]


def token(inner, page="2"):
    return f'<cookie pagenumber="{page}" pagingcookie="{quote(inner)}" istracking="False" />'


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "<cookie/>",
        token("zzz"),
        token("<cookie></cookie>"),
        token(f'<cookie page="1"><accountid last="{A}" first="{A}" /></cookie>'),
        token(f'<cookie page="1"><contactid last="{A}" first="{A}" /></cookie>', page="x"),
    ],
)
def test_a_foreign_skiptoken_is_refused(dataverse, token):
    status, code, message = dataverse.error("GET", "contacts", f"$skiptoken={quote(token)}")
    assert (status, code) == (400, "0x80060888")
    assert "paging cookie" in message


def test_top_and_page_size(dataverse):
    contacts(dataverse, 5)
    top = dataverse.get("contacts", "$top=2")
    assert len(top["value"]) == 2
    assert "@odata.nextLink" not in top
    both = dataverse.get("contacts", "$top=2", prefer="odata.maxpagesize=3")
    assert len(both["value"]) == 3, "$top is ignored beside a page size"
    assert "@odata.nextLink" in both
    assert len(dataverse.get("contacts", "$top=0")["value"]) == 0
    assert dataverse.error("GET", "contacts", "$top=-1")[0] == 400


def test_a_page_has_at_most_5000_rows_and_counts_stop_there(dataverse):
    dataverse.organisation.put("account", ({"accountid": f"{n:08x}-0000-4000-8000-000000000000"} for n in range(5001)))
    body = dataverse.get(
        "accounts", "$select=name&$count=true", prefer='odata.maxpagesize=9000,odata.include-annotations="*"'
    )
    assert len(body["value"]) == 5000
    assert body["@odata.count"] == 5000
    assert body["@Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded"] is True
    assert dataverse.call("GET", "accounts/$count").body == b"5000"
    assert len(dataverse.get("accounts", "$top=6000&$select=name")["value"]) == 5000


def test_count_under_a_filter(dataverse):
    contacts(dataverse, 4)
    reply = dataverse.call("GET", "contacts/$count", "$filter=lastname%20gt%20'N1'")
    assert reply.body == b"2"
    assert reply.headers["Content-Type"] == "text/plain"


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("$select=nope", "Could not find a property named 'nope' on type 'Microsoft.Dynamics.CRM.contact'."),
        ("$select=gendercodename", "Could not find a property named 'gendercodename'"),
        ("$select=parentcustomerid", "Could not find a property named 'parentcustomerid'"),
        ("$select=FirstName", "Could not find a property named 'FirstName'"),
        ("$orderby=nope", "Could not find a property named 'nope'"),
        ("$orderby=firstname%20up", "Syntax error"),
        ("$expand=nope", "Could not find a property named 'nope'"),
        ("$expand=ownerid($filter=x)", "$select"),
        ("$skip=5", "$skip"),
        ("$search=x", "$search"),
        ("$format=json", "$format"),
        ("$count=maybe", "$count"),
        ("$filter=firstname%20eq%20@p", "@p"),
    ],
)
def test_refused_query_options(dataverse, query, text):
    status, code, message = dataverse.error("GET", "contacts", query)
    assert (status, code) == (400, "0x80060888")
    assert text in message


def test_unknown_sets_are_404(dataverse):
    assert dataverse.error("GET", "nopes") == (404, "0x80060888", "Resource not found for the segment 'nopes'.")
    assert dataverse.error("GET", "contact")[0] == 404, "the set has another name than the table"
    assert dataverse.error("GET", "Contacts")[0] == 404, "names are case sensitive"
    assert dataverse.call("GET", "contacts", version="v8.2").status == 404


def test_a_url_beyond_32_kb_is_refused(dataverse):
    assert dataverse.call("GET", "contacts", "$select=" + "firstname," * 3000 + "lastname").status == 200
    assert dataverse.call("GET", "contacts", "$select=" + "firstname," * 3300 + "lastname").status == 414


def test_expand_of_lookups(dataverse):
    org = dataverse.organisation
    account = org.create("account", {"name": "Shop", "accountnumber": "7"})
    org.create("contact", {"contactid": A, "parentcustomerid": account, "parentcustomerid__table": "account"})
    org.create("contact", {"contactid": B, "parentcustomerid": A, "parentcustomerid__table": "contact"})
    org.create("contact", {"contactid": C})
    query = (
        "$select=contactid&$expand=parentcustomerid_account($select=name,accountnumber),"
        "parentcustomerid_contact($select=contactid)"
    )
    body = dataverse.get("contacts", query)
    rows = {row["contactid"]: row for row in body["value"]}
    assert rows[A]["parentcustomerid_account"] == {
        "@odata.etag": 'W/"1"', "name": "Shop", "accountnumber": "7", "accountid": account,
    }  # fmt: skip
    assert rows[A]["parentcustomerid_contact"] is None
    assert rows[B]["parentcustomerid_contact"]["contactid"] == A
    assert rows[C]["parentcustomerid_account"] is None
    assert body["@odata.context"].endswith(
        "#contacts(contactid,parentcustomerid_account(name,accountnumber,accountid),parentcustomerid_contact(contactid))"
    )
    one = dataverse.get(f"contacts({A})", "$select=contactid&$expand=parentcustomerid_account($select=name)")
    assert one["parentcustomerid_account"]["name"] == "Shop"


def test_one_row_and_its_version(dataverse):
    dataverse.organisation.create("contact", {"contactid": A, "lastname": "Lee"})
    reply = dataverse.call("GET", f"contacts({A.upper()})", "$select=lastname")
    assert json.loads(reply.body) == {
        "@odata.context": f"{ORIGIN}/api/data/v9.2/$metadata#contacts(lastname)/$entity",
        "@odata.etag": 'W/"1"',
        "lastname": "Lee",
        "contactid": A,
    }
    assert reply.headers["ETag"] == 'W/"1"'
    assert dataverse.call("GET", f"contacts({A})", if_none_match='W/"1"').status == 304
    assert dataverse.call("GET", f"contacts({A})", if_none_match="null").status == 200
    dataverse.organisation.update("contact", A, {"lastname": "Li"})
    assert dataverse.call("GET", f"contacts({A})", if_none_match='W/"1"').status == 200
    status, code, message = dataverse.error("GET", f"contacts({B})")
    assert (status, code) == (404, "0x80040217")
    assert B in message


def test_the_row_that_a_lookup_points_to(dataverse):
    org = dataverse.organisation
    account = org.create("account", {"name": "Shop"})
    org.create("contact", {"contactid": A, "parentcustomerid": account, "parentcustomerid__table": "account"})
    body = dataverse.get(f"contacts({A})/parentcustomerid_account", "$select=name")
    assert (body["accountid"], body["name"]) == (account, "Shop")
    assert body["@odata.context"].endswith("#accounts(name)/$entity")
    for other in ("parentcustomerid_contact", "transactioncurrencyid"):
        assert dataverse.call("GET", f"contacts({A})/{other}").status == 204
    assert dataverse.error("GET", f"contacts({B})/parentcustomerid_account")[:2] == (404, "0x80040217")
    assert dataverse.error("GET", f"contacts({A})/nope")[0] == 404


def test_tables_that_may_not_be_read_are_not_read_through_others(dataverse):
    dataverse.organisation.create("contact", {"contactid": A})
    dataverse.organisation.switches.unreadable_tables = ["systemuser"]
    assert dataverse.error("GET", "contacts", "$expand=ownerid")[:2] == (403, "0x80040220")
    assert dataverse.error("GET", f"contacts({A})", "$expand=ownerid")[0] == 403
    dataverse.organisation.update("contact", A, {"ownerid": A})
    assert dataverse.error("GET", f"contacts({A})/ownerid")[0] == 403
