"""Settings that cannot be right are named before anything is read or written."""

from __future__ import annotations

import datetime as dt

import pytest

from annex_d365.annexcloud.ways import enumeration_of
from annex_d365.errors import SettingError
from annex_d365.singer.plugin import setting_errors
from tap_annex.tap import TapAnnex
from tap_d365.tap import TapD365
from target_annex.dynamics.settings import check
from target_annex.posting_mapping import posting_mapping
from target_annex.target import TargetAnnex, TargetD365

NOW = dt.datetime(2026, 1, 31, tzinfo=dt.timezone.utc)


def begins(text):
    return enumeration_of({"by": "search", "from": text}, service=None, crew=None, site_id="1", now=NOW)


def posting(**fields):
    columns = {"id", "member", "points"}
    return posting_mapping(
        "postings", {"fields": fields}, columns=columns, key_properties=["id"], member_id_column="member"
    )


def into_d365(**settings):
    return check({"etag_guard": False, "skip_unchanged": "ledger", **settings})


WRONG = {
    "begin": (lambda: begins("last week"), "members.from", "is not a time such as"),
    "field of a posting": (lambda: posting(pionts="points"), "streams.postings.fields", "`pionts` is no field"),
    "no amount": (lambda: posting(reason="points"), "streams.postings.fields", "name the column with the points"),
    "column": (lambda: posting(points="nosuch"), "streams.postings.fields", "nosuch"),
    "caller": (lambda: into_d365(caller_object_id="me\r\nX: y"), "caller_object_id", "must be an object id"),
    "bypass": (lambda: into_d365(bypass_business_logic="all"), "bypass_business_logic", "must be"),
    "guard": (lambda: into_d365(etag_guard=True), "etag_guard", "skip_unchanged: read"),
}


@pytest.mark.parametrize(("use", "setting", "words"), WRONG.values(), ids=WRONG)
def test_it_is_named(use, setting, words):
    with pytest.raises(SettingError) as error:
        use()
    assert error.value.setting == setting
    assert words in str(error.value)


def choices(rule, path):
    """Each place in a setting that has choices, and these."""
    if "enum" in rule:
        yield path, [each for each in rule["enum"] if each is not None]
    parts = {**rule.get("properties", {}), "any": rule.get("additionalProperties"), 0: rule.get("items")}
    for name, part in parts.items():
        if isinstance(part, dict):
            yield from choices(part, (*path, name))


def places():
    for plugin in (TapD365, TapAnnex, TargetAnnex, TargetD365):
        for name, rule in plugin.config_jsonschema["properties"].items():
            for path, words in choices(rule, (name,)):
                yield pytest.param(name, rule, path, words, id=f"{plugin.name}-{'.'.join(map(str, path))}")


@pytest.mark.parametrize(("name", "rule", "path", "words"), list(places()))
def test_a_wrong_choice_is_told_with_its_setting_and_what_may_be_there(name, rule, path, words):
    value = "zz"
    for step in reversed(path[1:]):
        value = [value] if step == 0 else {step: value}
    sentences = list(setting_errors({name: value}, {"properties": {name: rule}}))
    place = ".".join(map(str, path))
    assert f"Setting `{place}`: must be one of {', '.join(map(str, words))}." in sentences


def test_right_ones_do():
    posting(points="points")
    into_d365(caller_object_id="00000000-0000-0000-0000-000000000001", etag_guard=True, skip_unchanged="read")
