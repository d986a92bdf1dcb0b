"""What the fuzzer found (docs/trust.md): each ends in a sentence that names what is wrong."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from singer_sdk.exceptions import ConfigValidationError
from support import tap_config

from annex_d365 import retry
from annex_d365.annexcloud.token import Credentials
from annex_d365.dataverse.answers import Answer
from annex_d365.dataverse.connect import connect
from annex_d365.errors import OutageError, RowError, SettingError
from annex_d365.http import secure_origin
from annex_d365.singer.rejects import RejectsFile
from annex_d365.singer.rows import Row
from tap_annex.tap import TapAnnex
from target_annex.segments.rows import snapshot_row
from target_annex.target import TargetAnnex

SITE = {"site_id": "1", "site_name": "shop", "secret_key": "key"}
TARGET = {**SITE, "destination": "annex_cloud"}


def refused(plugin, **settings):
    with pytest.raises(ConfigValidationError) as error:
        plugin(config=settings)
    return error.value.errors


def test_half_of_a_surrogate_pair_is_no_setting():
    (told,) = refused(TapAnnex, **SITE, start_date="\ud800")
    assert told.startswith("Setting `start_date`: holds characters that are no text")


def test_a_text_is_no_object():
    assert refused(TapAnnex, **SITE, members="all") == ["Setting `members`: must be an object."]


def test_null_is_a_setting_that_was_not_made():
    tap = TapAnnex(config={**SITE, "max_parallel_requests": None, "base_url": None, "stream_maps": None})
    assert tap.config["max_parallel_requests"] == 8


def test_an_address_that_is_none():
    with pytest.raises(SettingError, match="`base_url`: is not a URL"):
        secure_origin("base_url", "https://[::1")


@pytest.mark.parametrize("path", ["x" * 5000, "a\0b"])
def test_a_path_that_is_none(path):
    with pytest.raises(SettingError, match="`rejects_path`"):
        RejectsFile(Path(path)).check()


@pytest.mark.parametrize("name", ["site_id", "site_name", "secret_key"])
def test_credentials_of_a_site_that_are_empty(name):
    with pytest.raises(SettingError, match=f"`{name}`: is empty"):
        Credentials(**{**SITE, name: ""})


def test_stream_maps_that_cannot_be_followed(tmp_path):
    config = {**TARGET, "ledger_url": f"sqlite:///{tmp_path}/ledger.db", "stream_maps": {"__x__": {}}}
    with pytest.raises(SettingError, match="`stream_maps`"):
        TargetAnnex(config=config)


def test_a_fraction_of_a_second_is_waited_for():
    assert retry.retry_after({"Retry-After": "1.5"}, now=0) == 1.5


@pytest.mark.parametrize("count", [[], "many", -1, {"a": 1}, "1.5"])
def test_a_count_that_is_none(count):
    record = {"segment_id": "s", "version": "1", "member_count": count, "complete": True}
    with pytest.raises(RowError, match="member_count"):
        snapshot_row(Row(record, {"record": record}))


def test_an_answer_that_lacks_what_was_asked_for():
    with pytest.raises(OutageError, match="without `name`"):
        Answer({})["name"]


@pytest.mark.parametrize("raw", [b'"text"', b"[]", b'{"a":"\xff"}', b'{"a":' + b"[" * 5000])
def test_a_row_that_is_none(sandbox, raw):
    with pytest.raises(OutageError, match="could not be read"):
        connect(tap_config(sandbox)).row(msgspec.Raw(raw))
