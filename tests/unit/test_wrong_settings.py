"""Settings that cannot be right are named before anything is read or written."""

from __future__ import annotations

import datetime as dt

import pytest

from annex_d365.annexcloud.ways import enumeration_of
from annex_d365.errors import SettingError
from target_annex.dynamics.settings import check
from target_annex.posting_mapping import posting_mapping

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


def test_right_ones_do():
    posting(points="points")
    into_d365(caller_object_id="00000000-0000-0000-0000-000000000001", etag_guard=True, skip_unchanged="read")
