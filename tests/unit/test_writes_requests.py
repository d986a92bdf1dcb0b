"""Addresses and bodies of writing requests, and each row once."""

from __future__ import annotations

import json
import re
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timezone
from decimal import Decimal
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annex_d365.dataverse.writes import (
    AlternateKey,
    ColumnDefinition,
    Guid,
    Kind,
    Lookup,
    Operation,
    TableDefinition,
    guid_for,
)
from annex_d365.dataverse.writes.addresses import address, addressable, bind, condition, predicate
from annex_d365.dataverse.writes.forms import form, target
from annex_d365.dataverse.writes.preparation import deduplicated, reachable
from annex_d365.dataverse.writes.sizes import Size

PARENT = ColumnDefinition(
    "parentcustomerid",
    "CustomerType",
    lookups={each: Lookup(each, f"{each}s", f"parentcustomerid_{each}") for each in ("account", "contact")},
)
CONTACT = TableDefinition("contact", "contacts", "contactid", {"parentcustomerid": PARENT})
ID, OTHER = guid_for("contact", "1"), guid_for("contact", "2")
BY_CODE = AlternateKey({"new_code": "A'1"})


@given(st.text())
def test_a_key_can_be_read_back_from_its_address(text):
    found = address("contacts", AlternateKey({"new_code": text}))
    assert re.fullmatch(r"contacts\(new_code='[A-Za-z0-9_.~%$,()'=@-]*'\)", found)
    assert unquote(found)[len("contacts(new_code='") : -2].replace("''", "'") == text


@given(st.text())
def test_what_an_address_cannot_hold(text):
    assert addressable(AlternateKey({"new_code": text})) == (
        not set("/<>*%&:\\?+#") & set(text)
        and not any(unicodedata.category(sign) == "Cc" and sign < "\x80" for sign in text)
    )


def test_keys_of_all_types():
    key = AlternateKey(
        {
            "a": "x",
            "b": 7,
            "c": Decimal("1E+2"),
            "d": date(2024, 1, 2),
            "e": datetime(2024, 1, 2, 3, tzinfo=timezone.utc),
            "_f_value": Guid(ID.upper()),
            "g": True,
        }
    )
    assert predicate(key) == f"a='x',b=7,c=100,d=2024-01-02,e=2024-01-02T03:00:00Z,_f_value={ID},g=true"
    assert condition(AlternateKey({"a": "x'y", "b": 7})) == "a eq 'x''y' and b eq 7"
    assert not addressable(key)
    with pytest.raises(TypeError, match="no key has a list"):
        predicate(AlternateKey({"a": []}))


def test_a_row_in_a_body():
    assert bind("contacts", Guid(ID.upper())) == f"/contacts({ID})"
    assert bind("contacts", AlternateKey({"new_code": "ä b"})) == "/contacts(new_code='ä b')"


def sent(operation):
    made = form(operation, CONTACT)
    return made.method, made.url, dict(made.headers), json.loads(made.body) if made.body else None


TELLING = {"Prefer": "return=representation"}


@pytest.mark.parametrize(
    ("operation", "request_sent"),
    [
        (
            Operation(Kind.CREATE, Guid(ID), {"lastname": "L"}),
            ("POST", "contacts", {}, {"lastname": "L", "contactid": ID}),
        ),
        (
            Operation(Kind.CREATE, BY_CODE, {"lastname": "L"}),
            ("POST", "contacts", {}, {"lastname": "L", "new_code": "A'1"}),
        ),
        (
            Operation(Kind.UPSERT, Guid(ID), {"contactid": ID, "lastname": "L"}),
            ("PATCH", f"contacts({ID})?$select=contactid", TELLING, {"lastname": "L"}),
        ),
        (
            Operation(Kind.UPSERT, BY_CODE, {"new_code": "A'1", "lastname": "L"}),
            ("PATCH", "contacts(new_code='A''1')?$select=contactid", TELLING, {"lastname": "L"}),
        ),
        (
            Operation(Kind.UPDATE, Guid(ID), {"lastname": "L"}),
            ("PATCH", f"contacts({ID})", {"If-Match": "*"}, {"lastname": "L"}),
        ),
        (
            Operation(Kind.UPDATE, BY_CODE, {"lastname": "L"}, etag='W/"7"'),
            (
                "PATCH",
                "contacts(new_code='A''1')?$select=contactid",
                {"If-Match": 'W/"7"', **TELLING},
                {"lastname": "L"},
            ),
        ),
        (Operation(Kind.DELETE, Guid(ID)), ("DELETE", f"contacts({ID})", {}, None)),
        (Operation(Kind.DELETE, Guid(ID), etag='W/"7"'), ("DELETE", f"contacts({ID})", {"If-Match": 'W/"7"'}, None)),
    ],
)
def test_single_requests(operation, request_sent):
    assert sent(operation) == request_sent


@pytest.mark.parametrize(
    ("operation", "members"),
    [
        (Operation(Kind.CREATE, Guid(ID), {"lastname": "L"}), {"contactid": ID, "lastname": "L"}),
        (Operation(Kind.UPSERT, Guid(ID), {"lastname": "L"}), {"contactid": ID, "lastname": "L"}),
        (
            Operation(Kind.UPDATE, BY_CODE, {"lastname": "L", "new_code": "A'1"}),
            {"@odata.id": "contacts(new_code='A''1')", "lastname": "L"},
        ),
    ],
)
def test_targets_of_bulk_messages(operation, members):
    assert json.loads(target(operation, CONTACT)) == {"@odata.type": "Microsoft.Dynamics.CRM.contact", **members}


def test_operations_that_make_no_sense():
    with pytest.raises(ValueError, match="has no key"):
        Operation(Kind.UPDATE, None)
    with pytest.raises(ValueError, match="has no version"):
        Operation(Kind.UPSERT, Guid(ID), etag="x")


def upsert(key, **values):
    return Operation(Kind.UPSERT, key, values)


def test_each_row_once_and_the_last_wins():
    kept, keys = deduplicated([upsert(Guid(ID), a=1, b=1), upsert(Guid(OTHER)), upsert(Guid(ID.upper()), b=2)], CONTACT)
    assert [operation.values for operation in kept.values()] == [{}, {"a": 1, "b": 2}]
    assert keys[0] == keys[2] != keys[1]


def test_of_two_kinds_only_the_last_counts():
    kept, _ = deduplicated([upsert(BY_CODE, a=1), Operation(Kind.DELETE, BY_CODE)], CONTACT)
    assert [(each.kind, each.values) for each in kept.values()] == [(Kind.DELETE, {})]
    kept, _ = deduplicated([Operation(Kind.CREATE, BY_CODE, {"a": 1}), Operation(Kind.CREATE, BY_CODE, {})], CONTACT)
    assert [each.values for each in kept.values()] == [{}]


def test_a_lookup_to_another_table_replaces_the_earlier_one():
    first = Operation(Kind.UPDATE, Guid(ID), {"parentcustomerid_account@odata.bind": "/accounts(1)", "a": 1})
    last = Operation(Kind.UPDATE, Guid(ID), {"parentcustomerid_contact@odata.bind": "/contacts(1)"})
    kept, _ = deduplicated([first, last], CONTACT)
    assert [dict(each.values) for each in kept.values()] == [{"a": 1, **last.values}]


def test_new_rows_without_a_key_are_all_different():
    kept, keys = deduplicated([Operation(Kind.CREATE, None, {"a": 1})] * 3, CONTACT)
    assert len({each.key for each in kept.values()}) == len(set(keys)) == 3


class Found:
    """Knows the rows with these codes."""

    def __init__(self, **rows):
        self.rows = rows

    def find_together(self, keys):
        return [self.rows.get(key.values["new_code"].replace("/", "_"), "") for key in keys]


def ready(kind, code, **rows):
    kept, _ = deduplicated([Operation(kind, AlternateKey({"new_code": code}), {"a": 1})], CONTACT)
    with ThreadPoolExecutor(1) as pool:
        (operation,) = reachable(kept, CONTACT, Found(**rows), pool).values()
    return operation


def test_keys_that_no_address_can_hold_are_looked_up():
    assert ready(Kind.UPDATE, "x/y", x_y=ID) == Operation(Kind.UPDATE, Guid(ID), {"a": 1})
    assert ready(Kind.DELETE, "x/y") is None
    assert ready(Kind.UPSERT, "x/y", x_y=ID) == Operation(Kind.UPSERT, Guid(ID), {"a": 1, "new_code": "x/y"})
    new = ready(Kind.UPSERT, "x/y")
    assert new == Operation(Kind.UPSERT, Guid(guid_for("contact", "new_code='x/y'")), {"a": 1, "new_code": "x/y"})
    assert isinstance(ready(Kind.CREATE, "x/y").key, AlternateKey)
    assert isinstance(ready(Kind.UPDATE, "x y").key, AlternateKey)


def test_sizes_halve_and_grow_slowly():
    size = Size(1000)
    size.failed(1000)
    size.failed(1000)
    assert size.rows == 500
    size.worked(400)
    assert size.rows == 500
    size.worked(500)
    assert size.rows == 562
    for _ in range(20):
        size.worked(size.rows)
    assert size.rows == 1000
    for _ in range(20):
        size.failed(size.rows)
    assert size.rows == 1
    size.worked(1)
    assert size.rows == 2
