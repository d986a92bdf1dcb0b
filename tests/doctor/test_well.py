"""All is well, nothing is written, nothing is told that is nobody's business."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from annex_d365.doctor.areas import AREAS
from annex_d365.doctor.report import mask
from annex_d365.plugin_settings import TAP_ANNEX, TAP_D365, TARGET_ANNEX, TARGET_D365

#: POSTs that read: they are questions that do not fit into an address.
READING = re.compile(
    r"/(token|users/search|getbulkpoints|bulktiers"
    r"|msdyncrm_(ValidateSegment|FetchContactsByQuery)|msdynmkt_(MembersList|ListGroupMembers))$"
)


def writes(sandbox):
    return [
        f"{each['method']} {each['path']}"
        for each in sandbox.log.entries()
        if each["method"] != "GET" and not READING.search(each["path"])
    ]


def test_all_is_well(bare):
    practice = bare.prepare(bare.directory)
    visit = practice.visit()
    assert visit.code == 0
    assert not visit.with_verdict("failed", "differs")
    assert len(visit.with_verdict("ok")) > 55
    assert "Nothing must be changed." in visit.output
    assert visit.report["settings_to_change"] == {}


def test_all_is_well_with_journeys(journeys):
    visit = journeys.visit("--canary")
    assert visit.code == 0
    assert not visit.with_verdict("failed", "differs")
    assert visit.check("d365.journey_ids")["verdict"] == "ok"
    assert visit.check("d365.canary.segment_members")["verdict"] == "ok"


def test_without_canary_nothing_is_written(practice):
    visit = practice.visit()
    assert len(practice.sandbox.log.entries()) > 100
    assert writes(practice.sandbox) == []
    assert not any(each.startswith(("annex.canary", "d365.canary")) for each in visit.ids)


def test_each_check_is_asked_and_told_once(practice):
    declared = [check.id for area in AREAS.values() for check in area.checks]
    assert len(set(declared)) == len(declared)
    assert practice.visit("--canary").ids == declared


def test_a_check_needs_an_earlier_one():
    for area in AREAS.values():
        seen = {""}
        for check in area.checks:
            assert check.needs in seen
            seen.add(check.id)


def test_the_canary_is_gone_afterwards(practice):
    sandbox = practice.sandbox
    visit = practice.visit("--canary")
    assert visit.code == 0
    assert {"POST /api/3.0/users", "POST /api/3.0/segment"} <= set(writes(sandbox))
    (left,) = [each for service in visit.report["services"] for each in service["left"]]
    name = re.search(r"annex-d365-canary-\w+", left)[0]
    assert "INACTIVE" in left
    (segment,) = [each for each in sandbox.site.segments.all() if each["name"] == name]
    assert segment["status"] == "INACTIVE"
    assert sandbox.site.segments.members(segment) == []
    assert name in sandbox.site.pending_deletions()
    sandbox.log.clear()
    contacts = [row for row in rows_of(sandbox) if str(row.get("lastname", "")).startswith("annex-d365-canary")]
    assert contacts == []


def rows_of(sandbox):
    with sandbox.organisation.store.transaction() as connection:
        return [dict(row) for row in connection.execute("SELECT * FROM contact")]


def test_the_report_tells_no_secrets_and_no_members(practice):
    sandbox = practice.sandbox
    visit = practice.visit("--canary")
    text = json.dumps(visit.report, ensure_ascii=False)
    info = sandbox.info
    for secret in (*info["credentials"].values(), *info["annex"].values(), info["url"], info["ca_bundle"]):
        assert secret not in text
    assert "127.0.0.1" not in text
    assert not re.search(r"[\w.]+@[\w.]+", text.replace("<e-mail>", ""))
    assert not re.search(r"AC\d{7}", text)
    assert not any(str(row["lastname"]) in text for row in rows_of(sandbox) if len(str(row["lastname"] or "")) > 6)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("at https://contoso.crm4.dynamics.com now", "at https://<host "),
        ("mail to ana.diaz@example.com", "mail to <e-mail>"),
        ("site 4711-secret here", "site <hidden> here"),
    ],
)
def test_what_is_masked(text, masked):
    assert mask(text, {"4711-secret"}).startswith(masked)


def test_short_settings_are_no_secrets():
    assert mask("r1 and 1,000 rows", {"r1", "1"}) == "r1 and 1,000 rows"


def test_one_service_alone(practice):
    practice.settings = {TAP_ANNEX: practice.settings[TAP_ANNEX]}
    visit = practice.visit()
    assert visit.code == 0
    assert [each["service"] for each in visit.report["services"]] == ["Annex Cloud"]
    assert visit.report["services"][0]["plugins"] == [TAP_ANNEX]


def test_two_connections_to_one_kind_of_service(practice):
    practice.settings[TARGET_ANNEX] = {**practice.settings[TARGET_ANNEX], "secret_key": "x" * 40}
    visit = practice.visit()
    assert visit.code == 1
    assert [each["plugins"] for each in visit.report["services"]] == [
        [TAP_D365, TARGET_D365],
        [TAP_ANNEX],
        [TARGET_ANNEX],
    ]
    token = next(each for each in visit.report["services"][2]["checks"] if each["id"] == "annex.token")
    assert token["verdict"] == "failed"
    assert "secret_key" in token["to_do"]


def test_no_settings_at_all(practice):
    practice.settings = {TAP_ANNEX: {}}
    assert practice.visit().code == 2


def test_nobody_answers(practice):
    nowhere = "https://127.0.0.1:9"
    practice.settings = {TAP_ANNEX: {**practice.settings[TAP_ANNEX], "base_url": f"{nowhere}/api/3.0"}}
    visit = practice.visit()
    assert visit.code == 2
    assert visit.check("annex.token")["verdict"] in {"failed", "cannot tell"}


def test_incomplete_settings_take_no_other_service_along(practice):
    del practice.settings[TAP_ANNEX]["site_name"]
    practice.settings = {name: practice.settings[name] for name in (TAP_D365, TAP_ANNEX)}
    visit = practice.visit()
    assert visit.code == 1
    assert "site_name" in visit.check("settings")["sentence"]
    assert visit.check("d365.user")["verdict"] == "ok"


def test_the_page_tells_all_checks():
    page = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `((?:annex|d365)\.[\w.]+)` \|", page, re.MULTILINE))
    assert told == {check.id for area in AREAS.values() for check in area.checks}
