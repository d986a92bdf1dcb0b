"""Each assumption turned the other way: the doctor names the setting, or says what it means."""

from __future__ import annotations

import pytest

from annex_d365.plugin_settings import TAP_ANNEX, TAP_D365, TARGET_ANNEX, TARGET_D365

#: Makes the test member that others need.
CANARY = "annex.canary.member"
#: Is well in any case, as the service answers.
ANSWERED = "annex.clock"
INCREMENTAL = [{"name": "contacts", "replication": "INCREMENTAL"}]


def columns(**names):
    return {TAP_ANNEX: {"members": {"by": "search", "columns": names}}}


def both(**settings):
    return {TAP_ANNEX: settings, TARGET_ANNEX: settings}


#: Switches, the check that sees it, and the settings that it names.
SETTINGS = [
    ({"annex": {"max_token_seconds": 60}}, "annex.token", both(token_lifetime_seconds=60)),
    ({"annex": {"max_token_seconds": 10}}, "annex.token", both(token_lifetime_seconds=10)),
    ({"annex": {"signed_identifier": "encoded"}}, "annex.signed_id", both(signed_id_form="encoded")),
    ({"annex": {"identifier_escaping": "php"}}, "annex.signed_id", both(signed_id_form="php")),
    ({"annex": {"identifier_escaping": "ascii"}}, "annex.signed_id", both(signed_id_form="ascii")),
    (
        {"annex": {"undocumented_get_signs": "empty"}},
        "annex.undocumented_signs",
        both(undocumented_get_signs="empty"),
    ),
    (
        {"annex": {"segment_types": ["manual", "rule"]}},
        "annex.segment_words",
        both(segment_words={"static": "manual", "dynamic": "rule"}),
    ),
    (
        {"annex": {"segment_statuses": ["ON", "OFF"]}},
        "annex.segment_words",
        both(segment_words={"active": "ON", "inactive": "OFF"}),
    ),
    (
        {"annex": {"segment_list_words": ["every", "live", "dead"]}},
        "annex.segments",
        both(segment_words={"all": "every"}),
    ),
    (
        {"annex": {"refused_endpoints": ["POST /users/search"]}},
        "annex.search",
        {TAP_ANNEX: {"members": {"by": "segments"}}},
    ),
    (
        {"annex": {"refused_endpoints": ["POST /users/search"], "refusal_status": 403}},
        "annex.search",
        {TAP_ANNEX: {"members": {"by": "segments"}}},
    ),
    ({"annex": {"tier_achieve_date_key": "reachedDate"}}, "annex.tiers", columns(tierAchieveDate="reachedDate")),
    ({"annex": {"tier_expiration_date_key": "validToDate"}}, "annex.tiers", columns(tierExpirationDate="validToDate")),
    (
        {"dataverse": {"change_tracking": {"contact": False}}},
        "d365.change_tracking",
        {TAP_D365: {"tables": INCREMENTAL}},
    ),
    (
        {"dataverse": {"partly_readable_tables": ["contact"]}},
        "d365.change_tracking",
        {TAP_D365: {"tables": INCREMENTAL}},
    ),
]
CANARY_SETTINGS = [
    ({"annex": {"patch": "replaces"}}, "annex.canary.patch", {TARGET_ANNEX: {"patch_replaces": True}}),
    ({"annex": {"opt_out_date_key": "leftOnDate"}}, "annex.canary.opt_out", columns(optOutDate="leftOnDate")),
    ({"annex": {"zip_code_on_create": "ignored"}}, "annex.canary.zip_code", {TARGET_ANNEX: {"skip_unchanged": "read"}}),
    ({"annex": {"segment_dates": "second"}}, "annex.canary.segment", {TARGET_ANNEX: {"segment_date_form": "datetime"}}),
    ({"annex": {"segment_dates": "instant"}}, "annex.canary.segment", {TARGET_ANNEX: {"segment_date_form": "iso"}}),
    ({"annex": {"segment_member_form": "array"}}, "annex.canary.add", {TARGET_ANNEX: {"segment_member_form": "list"}}),
    (
        {"annex": {"member_update_words": ["APPEND", "REMOVE", "REPLACE"]}},
        "annex.canary.add",
        {TARGET_ANNEX: {"segment_member_update": {"add": "APPEND"}}},
    ),
    (
        {"annex": {"member_update_words": ["APPEND", "DELETE", "ADD"]}},
        "annex.canary.add_keeps",
        {TARGET_ANNEX: {"segment_member_update": {"add": "APPEND", "remove": "DELETE"}}},
    ),
    (
        {"annex": {"member_update_words": ["ADD", "DELETE", "SET"]}},
        "annex.canary.remove",
        {TARGET_ANNEX: {"segment_member_update": {"remove": "DELETE"}}},
    ),
]
#: Switches, the check that sees it, and a part of its sentence: the connector copes.
COPES = [
    ({"marketing": {"segment_query_member": "msdyncrm_query"}}, "d365.segment_query", "`msdyncrm_query`"),
    ({"annex": {"refuse_replayed_tokens": True}}, "annex.replay", "one of its own"),
    ({"dataverse": {"unauthorised_body": "json"}}, "d365.unauthorised", "has a body"),
    ({"dataverse": {"unauthorised_body": "html"}}, "d365.unauthorised", "has a body"),
    ({"dataverse": {"annotated_metadata": "full"}}, "d365.annotations", "full metadata"),
    ({"dataverse": {"countdistinct": False}}, "d365.aggregates", "not distinct ones"),
    ({"dataverse": {"id_order": "sql_server"}}, "d365.order", "SQL Server"),
    ({"dataverse": {"top_with_page_size": "honoured"}}, "d365.top", "honoured"),
    ({"dataverse": {"skiptoken_form": "opaque"}}, "d365.pages", "another form"),
    ({"dataverse": {"skiptoken_form": "opaque"}}, "d365.tracked_pages", "another form"),
    ({"dataverse": {"delta_link_on": "every_page"}}, "d365.tracked_pages", "Each page has one"),
    ({"dataverse": {"expired_stamp_status": 404}}, "d365.old_token", "It is 404"),
    ({"dataverse": {"expired_stamp_status": 410}}, "d365.old_token", "It is 410"),
    ({"dataverse": {"expired_stamp_status": 412}}, "d365.old_token", "It is 412"),
    ({"dataverse": {"expired_stamp_status": 500}}, "d365.old_token", "It is 500"),
    ({"dataverse": {"tracking_refusal_code": "0x80040203"}}, "d365.tracking_options", "0x80040203"),
    ({"dataverse": {"missing_row_code": ""}}, "d365.missing_row", "no code"),
    ({"dataverse": {"tables_without_bulk_messages": ["contact"]}}, "d365.bulk", "Not so contact"),
    ({"marketing": {"fetch_reply": "entities"}}, "d365.fetch_reply", "another form"),
    ({"marketing": {"fetch_reply": "text"}}, "d365.fetch_reply", "another form"),
    ({"marketing": {"query_keywords": "upper_case"}}, "d365.segment_query", "upper case"),
    ({"annex": {"max_token_seconds": 600}}, "annex.token_life", "hour is refused"),
    ({"annex": {"invalid_code": "AC1010"}}, "annex.wrong_value", "AC1010"),
    ({"annex": {"refused_endpoints": ["POST /getbulkpoints"]}}, "annex.bulk_points", "one by one"),
    ({"annex": {"refused_endpoints": ["POST /bulktiers"]}}, "annex.bulk_tiers", "one by one"),
    ({"annex": {"bulk_reads_limit": 10}}, "annex.bulk_size", "fewer are asked for"),
    ({"annex": {"paging_key": "current_page"}}, "annex.paging", "called otherwise"),
    ({"annex": {"page_count": False}}, "annex.paging", "`pages` is missing"),
    ({"annex": {"page_beyond": "empty"}}, "annex.paging", "is empty"),
    ({"annex": {"page_beyond": "bad_request"}}, "annex.paging", "is 400"),
    ({"annex": {"envelope": "Data"}}, "annex.envelope", "in `Data`"),
    ({"annex": {"numbers": "string"}}, "annex.values", "numbers are texts"),
    ({"annex": {"missing_values": "blank"}}, "annex.values", '`""`'),
    ({"annex": {"missing_values": "absent"}}, "annex.values", "left out"),
    ({"annex": {"resolve_email": True}}, "annex.email_as_id", "for the id, too"),
    ({"annex": {"search_reply": "Data"}}, "annex.search", "another shape"),
    ({"annex": {"search_reply": "list"}}, "annex.search", "another shape"),
    ({"annex": {"search_of_nothing": "empty"}}, "annex.search_nobody", "without members"),
    ({"annex": {"activity_id": False}}, "annex.activities", "no `activityId`"),
    ({"annex": {"activity_order": "oldest"}}, "annex.activity_order", "oldest comes first"),
    ({"annex": {"activity_count_key": "activityCount"}}, "annex.activities", "totalActivityCount"),
    ({"annex": {"total_spent_key": "totalSpend"}}, "annex.points", "`totalSpend`"),
    ({"annex": {"reward_eligible": "booleans"}}, "annex.rewards", "other words"),
    ({"annex": {"reward_eligible": "digits"}}, "annex.rewards", "other words"),
    ({"annex": {"eligible_members": "ids"}}, "annex.segment_members", "another form"),
    ({"annex": {"segment_list_key": "segments"}}, "annex.segments", "another name"),
]
CANARY_COPES = [
    ({"dataverse": {"null_bind": "refused"}}, "d365.canary.clear_lookup", "deletes the reference"),
    ({"dataverse": {"duplicate_status": 409}}, "d365.canary.again", "It is 409"),
    ({"dataverse": {"duplicate_status": 400}}, "d365.canary.again", "It is 400"),
    ({"marketing": {"state_reply": "no_content"}}, "d365.canary.segment_state", "204"),
    ({"marketing": {"unknown_member_ids": "refused"}}, "d365.canary.unknown_members", "refused"),
    ({"annex": {"create_status": 200}}, "annex.canary.member", "with 200"),
    ({"annex": {"duplicate_status": 400}}, "annex.canary.again", "400 AC1006"),
    ({"annex": {"unknown_attributes": "refused"}}, "annex.canary.attributes", "refused"),
    ({"annex": {"unknown_attributes": "kept"}}, "annex.canary.attributes", "kept, and merged"),
    ({"annex": {"activity_based_status": True}}, "annex.canary.status", "leave `status` unmapped"),
    ({"annex": {"patch_null": "clears"}}, "annex.canary.nulls", "null empties"),
    ({"annex": {"deletion": "at_once"}}, "annex.canary.delete", "at once"),
    ({"annex": {"bulk_request": "map"}}, "annex.canary.bulk_update", "numbered map"),
    ({"annex": {"bulk_partial_status": 400}}, "annex.canary.bulk_update", "one by one"),
    ({"annex": {"refused_endpoints": ["POST /bulkpostusers"]}}, "annex.canary.bulk_create", "one by one"),
    ({"annex": {"unknown_segment_members": "refused"}}, "annex.canary.add_keeps", "refused with all others"),
    ({"annex": {"segment_members_limit": 10}}, "annex.canary.many_members", "half as many"),
    ({"annex": {"member_update_default": "replace"}}, "annex.canary.no_word", "replaced"),
]
#: Both ways are the same to whoever looks from outside.
SAME = [
    {"annex": {"no_data_status": 400}},
    {"annex": {"strict_hmac": False}},
    {"annex": {"segment_id_type": "number"}},
    {"annex": {"lone_activity": "object"}},
    {"annex": {"activity_word": "CREDIT"}},
]


def name(value):
    return str(value) if isinstance(value, dict) else None


@pytest.mark.parametrize(("switches", "check_id", "settings"), SETTINGS, ids=name)
def test_the_setting_is_named(practice, switches, check_id, settings):
    named(practice, switches, check_id, settings)


@pytest.mark.parametrize(("switches", "check_id", "settings"), CANARY_SETTINGS, ids=name)
def test_the_setting_is_named_by_the_canary(practice, switches, check_id, settings):
    named(practice, switches, check_id, settings, "--canary")


def named(practice, switches, check_id, settings, *arguments):
    practice.narrow(check_id)
    practice.sandbox.control.turn(switches)
    only = [check_id, CANARY, *("annex.canary.remove" for _ in range("segment_member_update" in str(settings)))]
    visit = practice.visit(*arguments, only=only)
    assert visit.code == 1
    assert visit.check(check_id)["verdict"] in {"differs", "failed"}
    assert visit.report["settings_to_change"] == settings
    for plugin, values in settings.items():
        assert f"  - name: {plugin}" in visit.output
        practice.settings[plugin] = {**practice.settings[plugin], **values}
    again = practice.visit(*arguments, only=only)
    assert again.report["settings_to_change"] == {}


@pytest.mark.parametrize(("switches", "check_id", "part"), COPES, ids=name)
def test_the_connector_copes(practice, switches, check_id, part):
    copes(practice, switches, check_id, part)


@pytest.mark.parametrize(("switches", "check_id", "part"), CANARY_COPES, ids=name)
def test_the_connector_copes_as_the_canary_shows(practice, switches, check_id, part):
    copes(practice, switches, check_id, part, "--canary")


def copes(practice, switches, check_id, part, *arguments):
    practice.narrow(check_id)
    practice.sandbox.control.turn(switches)
    visit = practice.visit(*arguments, only=[check_id, CANARY])
    assert visit.check(check_id)["verdict"] == "differs"
    assert part in visit.check(check_id)["sentence"]
    assert visit.code == 0


@pytest.mark.parametrize(
    ("route", "check_id", "module"),
    [
        ("contacts.00000000", "d365.missing_row", "writes/tasks"),
        ("/users/annex-d365-doctor", "annex.no_member", "annexcloud/errors"),
    ],
)
def test_what_nobody_has_thought_of(practice, route, check_id, module):
    """Other than the reference page leaves open: the module is named, for those who receive the report."""
    practice.narrow(check_id)
    practice.sandbox.faults.add(kind="status", route=route, status=418)
    visit = practice.visit(only=[check_id, ANSWERED])
    assert module in visit.check(check_id)["to_do"]
    assert visit.code == 1


@pytest.mark.parametrize("switches", SAME, ids=name)
def test_nothing_is_made_of_it(practice, switches):
    practice.narrow("annex")
    before = practice.visit().with_verdict("failed", "differs")
    practice.sandbox.control.turn(switches)
    visit = practice.visit()
    assert visit.code == 0
    assert visit.with_verdict("failed", "differs") == before


def test_words_that_nobody_knows(practice):
    practice.narrow("annex")
    practice.sandbox.control.turn({"annex": {"member_update_words": ["XX", "YY", "ZZ"]}})
    visit = practice.visit("--canary")
    assert visit.code == 1
    assert "`segment_member_update`" in visit.check("annex.canary.add")["to_do"]
    assert "without a word it is put in" in visit.check("annex.canary.add")["sentence"]


def test_the_doctor_is_not_stopped_by_tokens_for_one_use(practice):
    practice.narrow("annex")
    practice.sandbox.control.turn({"annex": {"refuse_replayed_tokens": True}})
    visit = practice.visit()
    assert visit.check("annex.token")["verdict"] == "ok"
    assert visit.check("annex.search")["verdict"] == "ok"


def test_a_clock_that_is_off(practice):
    practice.narrow("annex")
    practice.sandbox.clock.advance(3600)
    visit = practice.visit()
    assert "behind the service" in visit.check("annex.clock")["sentence"]
    assert visit.check("annex.token")["verdict"] == "ok"


def test_outbound_is_withdrawn_and_nothing_else_there(bare):
    practice = bare
    practice.narrow("d365")
    practice.sandbox.control.turn({"marketing": {"outbound_withdrawn": True}})
    visit = practice.visit("--canary")
    assert visit.code == 1
    assert "withdrawn" in visit.check("d365.outbound")["sentence"]
    assert "streams of segments" in visit.check("d365.outbound")["to_do"]
    assert visit.with_verdict("failed") == ["d365.outbound"]
    assert visit.check("d365.canary.segment")["verdict"] == "cannot tell"


def test_outbound_is_named_where_only_journeys_are(journeys):
    journeys.narrow("d365")
    for settings in journeys.settings.values():
        settings["segments_api"] = "outbound"
    visit = journeys.visit()
    assert visit.report["settings_to_change"] == {
        TAP_D365: {"segments_api": "journeys"},
        TARGET_D365: {"segments_api": "journeys"},
    }


@pytest.mark.parametrize(
    ("switches", "check_id", "verdict"),
    [
        ({"marketing": {"journey_segment_ids": "definition"}}, "d365.journey_ids", "differs"),
        ({"marketing": {"journey_segment_ids": "segment"}}, "d365.journey_ids", "ok"),
        ({"marketing": {"not_live_members": "http"}}, "d365.draft_members", "differs"),
    ],
    ids=name,
)
def test_journeys(journeys, switches, check_id, verdict):
    journeys.narrow("d365")
    journeys.sandbox.control.turn(switches)
    visit = journeys.visit()
    assert visit.check(check_id)["verdict"] == verdict
    assert visit.code == 0
