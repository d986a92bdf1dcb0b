"""The setting ``tables``: what is asked for, and what is made of it."""

from __future__ import annotations

import pytest
from definitions import Organisation, attribute, entity

from annex_d365.errors import SettingError
from annex_d365.singer.plugin import setting_errors
from tap_d365.settings import CONFIG
from tap_d365.tables import TableSettings, read_configured, table_settings

PLAIN = [attribute("logid", "Uniqueidentifier"), attribute("name", "String")]


@pytest.fixture
def organisation():
    return Organisation(
        entity(ChangeTrackingEnabled=True),
        entity("account", "accounts"),
        entity("log", "logs", attributes=PLAIN, ChangeTrackingEnabled=None),
        entity("hidden", "hiddens", IsPrivate=True),
    )


def read(organisation, *entries, catalog=None, **more):
    config = {"tables": list(entries), **more}
    assert list(setting_errors(config, CONFIG | {"required": []})) == []
    found = read_configured(organisation, table_settings(config), catalog=catalog, parallel=2)
    return {table.entity_set: (table, entry) for table, entry in found}


def test_contacts_unless_set():
    assert table_settings({}) == [TableSettings("contacts")]
    assert CONFIG["properties"]["tables"]["default"] == ["contacts"]
    assert table_settings({"tables": []}) == []


def test_names_and_objects():
    given = ["contact", {"name": "accounts", "select": ["name"], "filter": None, "top": 3, "replication": "FULL_TABLE"}]
    assert table_settings({"tables": given}) == [
        TableSettings("contact"),
        TableSettings("accounts", select=["name"], top=3, replication="FULL_TABLE"),
    ]


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        (7, "tables.0"),
        ("", "tables.0"),
        ({"select": ["a"]}, "tables.0.name"),
        ({"name": "x", "top": 0}, "tables.0.top"),
        ({"name": "x", "select": "a"}, "tables.0.select"),
        ({"name": "x", "filter": ["a"]}, "tables.0.filter"),
        ({"name": "x", "replication": "SOMETIMES"}, "tables.0.replication"),
    ],
)
def test_what_the_schema_refuses(entry, named):
    (error,) = setting_errors({"tables": [entry]}, CONFIG | {"required": []})
    assert f"`{named}`" in error


def test_an_unknown_option():
    with pytest.raises(SettingError, match=r"`tables.contacts.slect`: is not known; did you mean `select`\?"):
        table_settings({"tables": [{"name": "contacts", "slect": ["a"]}]})


def test_by_entity_set_or_logical_name_in_one_request(organisation):
    found = read(organisation, "account", "contacts")
    assert list(found) == ["accounts", "contacts"]
    assert len(organisation.asked) == 1


def test_an_unknown_table(organisation):
    with pytest.raises(SettingError, match="`tables`: there is no table `nopes`"):
        read(organisation, "contacts", "nopes")


@pytest.mark.parametrize("names", [("contacts", "contacts"), ("contacts", "contact"), ("*", "contacts", "contact")])
def test_the_same_table_twice(organisation, names):
    with pytest.raises(SettingError, match=r"`tables`: names the table `contacts?` twice"):
        read(organisation, *names)


def test_all_tables(organisation):
    found = read(organisation, {"name": "contacts", "top": 5}, "*")
    assert sorted(found) == ["accounts", "contacts", "logs"]
    assert {name: entry.top for name, (_table, entry) in found.items()} == {
        "contacts": 5,
        "accounts": None,
        "logs": None,
    }
    assert len(organisation.asked) == 2


def test_options_for_all_tables(organisation):
    found = read(organisation, {"name": "*", "replication": "FULL_TABLE"}, "contacts")
    assert {name: entry.replication for name, (_table, entry) in found.items()} == {
        "contacts": None,
        "accounts": "FULL_TABLE",
        "logs": "FULL_TABLE",
    }
    # What cannot be done with one of them does not stop the others, unless it is named.
    found = read(organisation, {"name": "*", "replication": "LOG_BASED"})
    assert {name: entry.replication for name, (_table, entry) in found.items()}["accounts"] is None
    with pytest.raises(SettingError, match=r"`tables\.accounts\.replication`"):
        read(organisation, {"name": "accounts", "replication": "LOG_BASED"})


def test_deselected_tables_are_not_asked_for(organisation):
    catalog = {"contacts": False, "accounts": True}
    assert list(read(organisation, "contacts", "accounts", catalog=catalog)) == ["accounts"]
    (asked,) = organisation.asked
    assert "contact" not in asked


def test_nothing_selected_no_request(organisation):
    assert read(organisation, "contacts", catalog={"contacts": False}) == {}
    assert read(organisation, "*", catalog={"contacts": False}) == {}
    assert organisation.asked == []


def test_of_all_tables_only_the_selected_ones_are_asked_for(organisation):
    assert list(read(organisation, "*", catalog={"contacts": True, "accounts": False, "gone": True})) == ["contacts"]
    (asked,) = organisation.asked
    assert "account" not in asked


def test_a_logical_name_is_selected_by_its_stream(organisation):
    assert list(read(organisation, "contact", "account", catalog={"contacts": True, "accounts": False})) == ["contacts"]
    assert len(organisation.asked) == 1


def test_a_table_that_the_catalog_does_not_know_is_not_selected(organisation):
    assert read(organisation, "contacts", catalog={}) == {}


def test_select(organisation):
    entry = {"name": "contacts", "select": ["fullname", "parentcustomerid"]}
    ((table, _entry),) = read(organisation, entry).values()
    assert set(table.columns) == {
        *("contactid", "modifiedon", "fullname"),
        *("_parentcustomerid_value", "_parentcustomerid_value_table"),
    }


def test_select_of_an_unknown_column(organisation):
    message = (
        r"`tables.contact.select`: table contacts has no column `fulname` that can be read; did you mean `fullname`\?"
    )
    with pytest.raises(SettingError, match=message):
        read(organisation, {"name": "contact", "select": ["fulname"]})


def test_expand(organisation):
    entry = {"name": "contacts", "select": ["fullname"], "expand": "primarycontactid($select=fullname),tasks"}
    ((table, _entry),) = read(organisation, entry).values()
    assert {"primarycontactid", "tasks", "fullname"} < set(table.columns)


def test_expand_that_is_none(organisation):
    with pytest.raises(SettingError, match=r"`tables.contacts.expand`: its parentheses or quotes do not match"):
        read(organisation, {"name": "contacts", "expand": "tasks($select=a"})


def test_replication(organisation):
    entries = [
        {"name": "contacts", "replication": "LOG_BASED"},
        {"name": "accounts", "replication": "FULL_TABLE"},
        "logs",
    ]
    found = read(organisation, *entries)
    methods = {name: entry.method(table) for name, (table, entry) in found.items()}
    assert methods == {"contacts": "LOG_BASED", "accounts": "FULL_TABLE", "logs": "FULL_TABLE"}
    (table, _entry) = found["contacts"]
    assert TableSettings("contacts").method(table) == TableSettings("x", replication="INCREMENTAL").method(table)


@pytest.mark.parametrize("entry", ["logs", {"name": "logs", "replication": "INCREMENTAL"}, "*"])
def test_a_table_without_modifiedon_is_read_in_full_with_a_warning(organisation, entry, caplog):
    table, settings = read(organisation, entry)["logs"]
    assert settings.method(table) == "FULL_TABLE"
    (warning,) = caplog.messages
    assert "modifiedon" in warning
    assert "logs" in warning
    assert "contacts" not in warning


def test_no_warning_where_it_is_wanted(organisation, caplog):
    read(organisation, {"name": "logs", "replication": "FULL_TABLE"}, "contacts")
    assert not caplog.messages


def test_log_based_needs_change_tracking(organisation):
    with pytest.raises(SettingError, match=r"`tables.logs.replication`: change tracking is not enabled"):
        read(organisation, {"name": "logs", "replication": "LOG_BASED"})


@pytest.mark.parametrize(("option", "value"), [("filter", "a eq 1"), ("top", 5), ("expand", "tasks")])
def test_log_based_excludes(option, value):
    with pytest.raises(SettingError, match=rf"`tables.contacts.{option}`: cannot be used with replication LOG_BASED"):
        table_settings({"tables": [{"name": "contacts", "replication": "LOG_BASED", option: value}]})


def test_log_based_excludes_shards():
    config = {"tables": [{"name": "contacts", "replication": "LOG_BASED"}], "shard": {"from": "2024-01-01T00:00:00Z"}}
    with pytest.raises(SettingError, match=r"`tables\.contacts\.shard`"):
        table_settings(config)
