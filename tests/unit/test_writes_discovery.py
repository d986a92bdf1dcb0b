"""Definitions of tables for those who write, from metadata that says more or less."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from urllib.parse import unquote

import msgspec
import pytest
from definitions import attribute, date, entity, label

from annex_d365.dataverse.client import RawPage
from annex_d365.dataverse.writes import read_definition
from annex_d365.errors import SettingError
from annex_d365.gate import Gate


def option(value, *labels):
    return {"Value": value, "Label": label(*labels) if labels else None}


OPTIONS = {
    "Picklist": [
        {
            "LogicalName": "new_size",
            "OptionSet": None,
            "GlobalOptionSet": {"Options": [option(1, "Small", "Klein"), option(2, "Other"), option(3, "OTHER")]},
        }
    ],
    "Boolean": [
        {"LogicalName": "new_flag", "OptionSet": {"FalseOption": option(0, "No"), "TrueOption": option(1, "Yes")}}
    ],
}


class Organisation:
    """Answers as the Web API does, and keeps what it was asked."""

    def __init__(self, *entities, messages=()):
        self.http = SimpleNamespace(gate=Gate(9))
        self.entities, self.messages, self.asked = entities, messages, []

    def page(self, url, page_size):
        assert page_size is None
        url = unquote(url)
        self.asked.append(url)
        return RawPage([msgspec.Raw(msgspec.json.encode(each)) for each in self.answer(url)])

    def row(self, raw):
        return msgspec.json.decode(raw)

    def answer(self, url):
        if url.startswith("sdkmessagefilters"):
            return [{"sdkmessageid": {"name": name}} for name in self.messages]
        if "AttributeMetadata" in url:
            return next(found for cast, found in OPTIONS.items() if f".{cast}Attribute" in url)
        names = [(each["LogicalName"], each["EntitySetName"]) for each in self.entities]
        return [
            each for each, pair in zip(self.entities, names, strict=True) if any(f"'{name}'" in url for name in pair)
        ]


ACCOUNT = entity("account", "accounts", [])
USER = entity("systemuser", "systemusers", [])


def definition(*attributes, others=(ACCOUNT, USER), messages=(), **more):
    organisation = Organisation(entity(attributes=[*attributes], **more), *others, messages=messages)
    return read_definition(organisation, "contacts"), organisation


def test_metadata_that_says_next_to_nothing_stands_in_nobodys_way():
    found, organisation = definition(
        attribute("fullname", "String"), attribute("x", "Hologram", AttributeTypeName=None)
    )
    assert found.columns["fullname"].creatable
    assert found.columns["fullname"].updatable
    assert found.columns["fullname"].max_length is None
    assert found.columns["x"].type_name == "HologramType"
    assert (found.keys, found.messages) == ((), frozenset())
    assert len(organisation.asked) == 2


def test_what_columns_can_hold():
    found, _ = definition(
        attribute("a", "String", MaxLength=5, IsValidForCreate=True, IsValidForUpdate=False),
        attribute("b", "Decimal", MinValue=-1.5, MaxValue=10, Precision=3),
        date("c", "DateOnly"),
        attribute("d", "String", AttributeOf="c"),
    )
    assert (found.columns["a"].max_length, found.columns["a"].updatable) == (5, False)
    b = found.columns["b"]
    assert (str(b.minimum), str(b.maximum), b.precision) == ("-1.5", "10", 3)
    assert found.columns["c"].date_behavior == "DateOnly"
    assert "d" not in found.columns


def test_choices_in_all_languages_but_only_those_that_are_clear():
    found, organisation = definition(attribute("new_size", "Picklist"), attribute("new_flag", "Boolean"))
    assert found.columns["new_size"].choices == {1: "Small", 2: "Other", 3: "OTHER"}
    assert found.columns["new_size"].labels == {"small": 1, "klein": 1}
    assert found.columns["new_flag"].labels == {"no": 0, "yes": 1}
    assert sum("OptionSet" in url for url in organisation.asked) == 2


def test_all_that_follows_the_first_request_is_asked_at_the_same_time():
    columns = [attribute("new_size", "Picklist"), attribute("new_flag", "Boolean")]
    asked = threading.Barrier(4, timeout=5)  # both kinds of choices, tables that lookups lead to, bulk messages

    class Waiting(Organisation):
        def answer(self, url):
            if len(self.asked) > 1:
                asked.wait()
            return super().answer(url)

    owner = attribute("ownerid", "Owner", Targets=["systemuser"])
    organisation = Waiting(entity(attributes=[*columns, owner]), USER)
    found = read_definition(organisation, "contacts")
    assert found.columns["new_size"].choices
    assert len(organisation.asked) == 5


def test_lookups_by_relationship_or_by_rule():
    relationship = {
        "ReferencingAttribute": "new_about",
        "ReferencedEntity": "account",
        "ReferencingEntityNavigationPropertyName": "new_About_account",
    }
    found, _ = definition(
        attribute("new_about", "Lookup", Targets=["account", "contact", "hidden"]),
        attribute("new_single", "Lookup", Targets=["account"]),
        attribute("ownerid", "Owner", Targets=["systemuser", "team"]),
        ManyToOneRelationships=[relationship],
    )
    about = found.columns["new_about"].lookups
    assert {table: (each.entity_set, each.property) for table, each in about.items()} == {
        "account": ("accounts", "new_About_account"),
        "contact": ("contacts", "new_about_contact"),
    }
    assert found.columns["new_single"].lookups["account"].property == "new_single"
    assert found.columns["ownerid"].lookups["systemuser"].property == "ownerid"
    assert found.column("_ownerid_value") is found.columns["ownerid"]
    assert found.columns["ownerid"].property == "_ownerid_value"


def test_keys_and_messages():
    keys = [
        {"LogicalName": "new_key", "KeyAttributes": ["a", "b"], "EntityKeyIndexStatus": "Active"},
        {"LogicalName": "new_other", "KeyAttributes": ["a"], "EntityKeyIndexStatus": "Pending"},
    ]
    columns = [attribute("a", "String"), attribute("b", "Lookup", Targets=["account"])]
    found, _ = definition(*columns, Keys=keys, messages=["UpsertMultiple"])
    assert found.messages == {"UpsertMultiple"}
    assert found.key(["_b_value", "a"]).active
    assert not found.key(["a"]).active
    assert found.key(["b"]) is None


def test_a_definition_is_read_once_unless_it_may_have_changed():
    found, organisation = definition(attribute("fullname", "String"))
    asked = len(organisation.asked)
    assert read_definition(organisation, "contact") is found
    assert len(organisation.asked) == asked
    assert read_definition(organisation, "contact", fresh=True) == found
    assert len(organisation.asked) == 2 * asked


def test_a_table_that_is_not_there():
    with pytest.raises(SettingError, match="there is no table `contacts`"):
        read_definition(Organisation(), "contacts")
