"""Settings that are wrong: one sentence that names the setting, an exit code, no traceback, no secret."""

from __future__ import annotations

import json
import socket

import pytest
from support import run_cli, tap_config, target_config

SECRETS = ("pl4nted-secret", "pl4nted-password", "pl4nted-key")


def unused_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def assert_one_sentence(done, named, words=""):
    assert done.returncode not in (0, None)
    output = done.stdout + done.stderr
    assert "Traceback" not in output, output
    assert output.count("| ERROR ") == 1, output
    for secret in SECRETS:
        assert secret not in output
    said = [line for line in output.splitlines() if f"`{named}`" in line]
    assert len(said) == 1, output
    assert words in said[0]


TAP = [
    pytest.param({"client_secret": SECRETS[0]}, "client_secret", "", id="secret"),
    pytest.param({"client_id": "11111111-1111-1111-1111-111111111111"}, "client_id", "", id="application"),
    pytest.param({"auth_endpoint_url": "{url}/nowhere.example/oauth2/token"}, "auth_endpoint_url", "", id="tenant"),
    pytest.param({"tenant_id": "nowhere.example"}, "tenant_id", "another tenant", id="tenant twice"),
    pytest.param({"organization_url": "https://nowhere.example"}, "organization_url", "no such org", id="organisation"),
    pytest.param(
        {"organization_url": "https://127.0.0.1:{port}", "resource": "{url}"},
        "organization_url",
        "could not be reached",
        id="host",
    ),
    pytest.param(
        {"organization_url": "https://nowhere.invalid", "resource": "{url}"},
        "organization_url",
        "could not be reached",
        id="host name",
    ),
    pytest.param({"organization_url": "not a url"}, "organization_url", "https://", id="no URL"),
    pytest.param({"ca_bundle": None}, "ca_bundle", "not trusted", id="certificate"),
    pytest.param({"ca_bundle": "absent.pem"}, "ca_bundle", "cannot be read", id="no certificate file"),
    pytest.param({"username": "ann@contoso.example", "password": SECRETS[1]}, "username", "", id="user"),
    pytest.param({"username": "ann@contoso.example"}, "password", "is required", id="no password"),
    pytest.param({"client_id": None}, "client_id", "is required", id="no application"),
    pytest.param({"client_secret": None}, "client_secret", "is required", id="no secret"),
    pytest.param({"api_version": "9.9"}, "api_version", "no Web API `v9.9`", id="version"),
    pytest.param({"page_size": 0}, "page_size", "1 or more", id="page size"),
    pytest.param({"tables": [{"name": "contacts", "filter": "x eq"}]}, "tables.contacts.filter", "OData", id="filter"),
    pytest.param({"stream_maps": "contacts"}, "stream_maps", "is not valid", id="stream maps"),
    pytest.param(
        {"start_date": "0001-01-02", "lookback_seconds": 10**9}, "lookback_seconds", "before there were", id="lookback"
    ),
    pytest.param({"region": "r9"}, "region", "one of r1, r2, r3", id="region"),
]


def fill_in(sandbox, wrong):
    places = {"url": sandbox.info["url"], "port": unused_port()}
    return {name: value.format(**places) if isinstance(value, str) else value for name, value in wrong.items()}


@pytest.mark.parametrize(("wrong", "named", "words"), TAP)
def test_tap(sandbox, tmp_path, wrong, named, words):
    config = tap_config(sandbox, **fill_in(sandbox, wrong))
    assert_one_sentence(run_cli("tap_d365", config=config, directory=tmp_path), named, words)


@pytest.mark.parametrize(
    ("wrong", "named", "words"),
    [
        ({"members": {"by": "segments", "status": "zz"}}, "members.status", "must be one of all, active, inactive"),
        ({"members": {"by": "names"}}, "members.by", "must be one of segments, search, ids, feed, webhooks"),
        ({"members": {"by": "ids"}}, "members.path", "is required"),
        ({"members": {"by": "ids", "path": "absent"}}, "members.path", "cannot be read"),
        ({"members": {"by": "search", "from": "last week"}}, "members.from", "is not a time"),
        ({"members": {"by": "segments", "segments": ["999"]}}, "members.segments", "segment 999"),
        ({"start_date": "2026-99-99"}, "start_date", "is not a time"),
        ({"segment_words": {"all": "zz"}}, "segment_words.all", "by this word"),
        ({"signed_id_form": "zz"}, "signed_id_form", "must be one of plain, encoded, ascii, php"),
    ],
    ids=str,
)
def test_tap_of_annex_cloud(sandbox, tmp_path, wrong, named, words):
    config = {**sandbox.info["annex"], "ca_bundle": sandbox.info["ca_bundle"], **wrong}
    assert_one_sentence(run_cli("tap_annex", config=config, directory=tmp_path), named, words)


@pytest.mark.parametrize("argument", ["--discover", "--test"])
@pytest.mark.parametrize(
    ("wrong", "named"), [({"client_secret": SECRETS[0]}, "client_secret"), ({"client_id": None}, "client_id")]
)
def test_tap_otherwise(sandbox, tmp_path, argument, wrong, named):
    config = tap_config(sandbox, **wrong)
    assert_one_sentence(run_cli("tap_d365", argument, config=config, directory=tmp_path), named)


def test_tap_column_that_is_gone(sandbox, tmp_path):
    config = tap_config(sandbox)
    catalog = json.loads(run_cli("tap_d365", "--discover", config=config, directory=tmp_path).stdout)
    catalog["streams"][0]["schema"]["properties"]["nosuch"] = {"type": ["string", "null"]}
    (tmp_path / "catalog.json").write_text(json.dumps(catalog))
    done = run_cli("tap_d365", "--catalog", "catalog.json", config=config, directory=tmp_path)
    assert_one_sentence(done, "nosuch", "table contacts has no column")


def test_tap_another_replication_key(sandbox, tmp_path):
    config = tap_config(sandbox)
    catalog = json.loads(run_cli("tap_d365", "--discover", config=config, directory=tmp_path).stdout)
    catalog["streams"][0]["replication_key"] = "createdon"
    (tmp_path / "catalog.json").write_text(json.dumps(catalog))
    done = run_cli("tap_d365", "--catalog", "catalog.json", config=config, directory=tmp_path)
    assert_one_sentence(done, "catalog", "is `modifiedon`")


def test_tap_privileges(sandbox, tmp_path):
    sandbox.organisation.switches.member = False
    done = run_cli("tap_d365", config=tap_config(sandbox), directory=tmp_path)
    assert_one_sentence(done, "client_id", "no user of this organisation")


@pytest.mark.parametrize("content", ["{", None])
def test_config_files(tmp_path, content):
    path = tmp_path / "config.json"
    if content:
        path.write_text(content)
    for module in ("tap_d365", "target_annex"):
        done = run_cli(module, "--config", str(path), directory=tmp_path)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert "config.json" in done.stderr


SCHEMA = {
    "type": "SCHEMA",
    "stream": "contacts",
    "key_properties": ["contactid"],
    "schema": {
        "type": "object",
        "properties": {
            name: {"type": ["string", "null"]} for name in ("contactid", "cr0dd_loyaltyid", "emailaddress1", "lastname")
        },
    },
}
RECORD = {
    "type": "RECORD",
    "stream": "contacts",
    "record": {"contactid": "c1", "cr0dd_loyaltyid": "m1", "emailaddress1": None, "lastname": "Pl4nted"},
}

TARGET = [
    pytest.param({"destination": "elsewhere"}, "destination", "must be one of", id="destination"),
    pytest.param({"destination": None}, "destination", "is required", id="no destination"),
    pytest.param({"destination": "d365"}, "organization_url", "is required", id="destination without its settings"),
    pytest.param({"secret_key": SECRETS[2]}, "secret_key", "", id="secret"),
    pytest.param({"site_id": "999"}, "site_id", "", id="site"),
    pytest.param({"site_id": None}, "site_id", "is required", id="no site"),
    pytest.param({"secret_key": 12345}, "secret_key", "must be a text", id="secret of another kind"),
    pytest.param({"base_url": "https://127.0.0.1:{port}/api/3.0"}, "base_url", "could not be reached", id="host"),
    pytest.param({"base_url": "{url}/api/9.9"}, "base_url", "", id="version"),
    pytest.param({"ca_bundle": None}, "ca_bundle", "not trusted", id="certificate"),
    pytest.param({"enrol": "everybody"}, "enrol", "must be one of existing, flagged, all", id="enrol"),
    pytest.param({"streams": {"contacts": {"fields": {"email": "nosuch"}}}}, "nosuch", "contacts", id="column"),
    pytest.param({"member_id_column": "nosuch"}, "member_id_column", "contacts", id="member id column"),
    pytest.param({"streams": {"contacts": {"object": "planets"}}}, "streams.contacts.object", "members", id="object"),
    pytest.param({"rejects_path": "absent/rejects.singer"}, "rejects_path", "", id="rejects"),
]


@pytest.mark.parametrize(("wrong", "named", "words"), TARGET)
def test_target(sandbox, tmp_path, wrong, named, words):
    given = {**target_config(sandbox, tmp_path), **fill_in(sandbox, wrong)}
    config = {name: value for name, value in given.items() if value is not None}
    messages = [SCHEMA, RECORD, {**RECORD, "record": {**RECORD["record"], "cr0dd_loyaltyid": None}}]
    stdin = "".join(json.dumps(message) + "\n" for message in messages)
    done = run_cli("target_annex", config=config, directory=tmp_path, stdin=stdin)
    assert_one_sentence(done, named, words)
    assert "Pl4nted" not in done.stderr
