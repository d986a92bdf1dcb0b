"""Each switch of the sandbox turned: the jobs do the same, or the doctor names the setting with which they do.

A switch that is new must be put into one of the tables here.
"""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from support import tap_config
from switch_rounds import Rounds

from annex_d365.doctor.command import doctor
from annex_d365.plugin_settings import TAP_ANNEX, TAP_D365, TARGET_ANNEX, TARGET_D365
from annex_d365_sandbox.annexcloud.switches import Switches as SiteSwitches
from annex_d365_sandbox.dataverse.marketing.switches import Switches as MarketingSwitches
from annex_d365_sandbox.dataverse.switches import Switches as OrganisationSwitches
from annex_d365_sandbox.entra.switches import Switches as SignInSwitches
from annex_d365_sandbox.sandbox import Sandbox

PACK = 7
ANNEX = (TAP_ANNEX, TARGET_ANNEX)
DYNAMICS = (TAP_D365, TARGET_D365)
#: Endpoints that make work quicker only.
QUICKER = ["/getbulkpoints", "/bulktiers", "/bulkpostusers", "/bulkpatchusers"]

#: The jobs do the same as before, without any setting.
COPED = {
    "annex": {
        "envelope": ["Data"],
        "numbers": ["string"],
        "missing_values": ["blank", "absent"],
        "create_status": [200],
        "page_size": [2],
        "paging_key": ["current_page"],
        "page_count": [False],
        "page_beyond": ["bad_request", "empty"],
        "invalid_code": ["AC1010"],
        "no_data_status": [400],
        "duplicate_status": [400],
        "refuse_replayed_tokens": [True],
        "identifier_escaping": ["plain"],
        "strict_hmac": [False],
        "refused_endpoints": [[f"POST {each}" for each in QUICKER], ["GET /mergeuser/{member_id}"]],
        "refusal_status": [403],
        "bulk_request": ["array", "map"],
        "bulk_partial_status": [207, 400],
        "bulk_form": ["array", "map"],
        "bulk_writes_limit": [2],
        "bulk_reads_limit": [2],
        "resolve_email": [True],
        "patch_null": ["clears"],
        "extended_attributes": [["shoeSize"]],
        "unknown_attributes": ["refused", "kept"],
        "search_reply": ["Data", "list"],
        "search_of_nothing": ["empty"],
        "activity_based_status": [True],
        "deletion": ["at_once"],
        "opted_out_earn": [True],
        "overdraft": [True],
        "total_spent_key": ["totalSpend"],
        "activity_count_key": ["activityCount"],
        "activity_order": ["oldest"],
        "lone_activity": ["object"],
        "hold_status": ["Pending"],
        "reward_eligible": ["booleans", "digits"],
        "segment_dates": ["day"],
        "segment_id_type": ["number"],
        "unique_segment_names": [False],
        "segment_member_echo": ["absent"],
        "segment_list_key": ["segments"],
        "segment_member_form": ["text"],
        "member_update_default": ["replace"],
        "segment_members_limit": [1],
        "unknown_segment_members": ["refused"],
    },
    "dataverse": {
        "may_customize": [False],
        "may_bypass_custom_logic": [False],
        "expire_change_tracking_in_days": [1],
        "dop_hint": [1],
        "max_page_size": [7],
        "max_aggregated_rows": [10],
        "total_record_counts": [{"contact": 100_000}],
        "tables_without_bulk_messages": [["account", "contact", "businessunit"], []],
        "max_bulk_rows": [1],
        "refuse_repeated_targets": [False],
        "max_body_bytes": [300_000],
        "key_build_seconds": [60],
        "solutions": [{"Default": "new"}],
        "duplicate_rules": [{}],
        "unauthorised_body": ["json", "html"],
        "annotated_metadata": ["full"],
        "id_order": ["sql_server"],
        "top_with_page_size": ["honoured"],
        "skiptoken_form": ["opaque"],
        "delta_link_on": ["every_page"],
        "expired_stamp_status": [404, 410, 412, 500],
        "tracking_refusal_code": ["0x80040203"],
        "countdistinct": [False],
        "null_bind": ["refused"],
        "missing_row_code": [""],
        "duplicate_status": [400, 409],
        "throttling_code": ["decimal"],
    },
    "marketing": {
        "going_live_seconds": [1],
        "stopping_seconds": [1],
        "member_update_seconds": [30],
        "refresh_minutes": [5],
        "fetch_reply": ["entities", "text"],
        "pages_in_step": [False],
        "unshown_replies": ["ok"],
        "state_reply": ["no_content"],
        "unknown_member_ids": ["refused"],
        "failing_segments": [["Families"]],
        "member_id_prefix": ["crm"],
        "segment_query_member": ["msdyncrm_segmentquery", "msdyncrm_query"],
        "query_keywords": ["upper_case"],
        "journey_segment_ids": ["segment", "definition"],
        "not_live_members": ["http"],
    },
}
#: The doctor names settings, with which the jobs do the same as before.
NAMED = {
    "annex": {
        "max_token_seconds": [(60, "token_lifetime_seconds")],
        "undocumented_get_signs": [("empty", "undocumented_get_signs")],
        "signed_identifier": [("encoded", "signed_id_form")],
        "identifier_escaping": [("ascii", "signed_id_form"), ("php", "signed_id_form")],
        "patch": [("replaces", "patch_replaces")],
        "zip_code_on_create": [("ignored", "skip_unchanged")],
        "opt_out_date_key": [("optedOutDate", "members")],
        "tier_achieve_date_key": [("reachedDate", "members")],
        "tier_expiration_date_key": [("validToDate", "members")],
        "segment_types": [(["manual", "rule"], "segment_words")],
        "segment_statuses": [(["ON", "OFF"], "segment_words")],
        "segment_dates": [("second", "segment_date_form"), ("instant", "segment_date_form")],
        "segment_list_words": [(["every", "live", "dead"], "segment_words")],
        "segment_member_form": [("array", "segment_member_form")],
        "member_update_words": [
            (["APPEND", "REMOVE", "REPLACE"], "segment_member_update"),
            (["APPEND", "DELETE", "ADD"], "segment_member_update"),
        ],
    },
    "dataverse": {
        "change_tracking": [({"contact": False}, "tables")],
        "partly_readable_tables": [(["contact"], "tables")],
    },
    "marketing": {},
}
_MEMBERS = ["told.segment_members", "told.segment_snapshots"]
#: The jobs run, and nothing is rejected; but the service says less, or says it in its own way, in these parts.
SAYS_LESS = {
    "annex": {
        "activity_id": [(False, ["told.activities"])],
        "activity_word": [("CREDIT", ["told.activities"])],
        "eligible_members": [("ids", ["told.segment_members"])],
        "opt_out_date_key": [("", ["told.members"])],
        "tier_achieve_date_key": [("", ["told.members"])],
    },
    "dataverse": {},
    "marketing": {
        "most_paged_rows": [(10, _MEMBERS)],
        "refused_segments": [({"Families": 403}, _MEMBERS)],
    },
}
#: No assumptions: what somebody at the service has to do, the doctor says.
TO_DO = {
    "annex": {},
    "dataverse": {
        "member": [(False, "application user")],
        "unreadable_tables": [(["contact"], "prvReadcontact")],
        "unwritable_tables": [(["contact"], "prvCreateContact")],
    },
    "marketing": {"outbound_withdrawn": [(True, "segments_api")]},
}


def cases(table, *boards):
    return [
        pytest.param(board, name, value, id=f"{name}={value}")
        for board in boards
        for name, values in table[board].items()
        for value in values
    ]


def packs(*boards):
    """Some switches turned at once, which takes less time: each pack once for each value of its switches."""
    made = []
    for board in boards:
        names = list(COPED[board])
        for start in range(0, len(names), PACK):
            values = [COPED[board][name] for name in names[start : start + PACK]]
            for turn in range(max(map(len, values))):
                chosen = {
                    name: of[turn]
                    for name, of in zip(names[start : start + PACK], values, strict=True)
                    if turn < len(of)
                }
                title = " ".join(f"{name}={value}" for name, value in chosen.items())
                made.append(pytest.param({board: chosen}, id=title))
    return made


def settings_of(sandbox, api):
    dynamics = {**tap_config(sandbox), "segments_api": api}
    site = {**sandbox.info["annex"], "ca_bundle": sandbox.info["ca_bundle"]}
    columns = ["contactid", "lastname", "cr0dd_loyaltyid", "emailaddress1"]
    return {
        TAP_D365: {**dynamics, "tables": [{"name": "contacts", "replication": "LOG_BASED", "select": columns}]},
        TARGET_D365: dynamics,
        TAP_ANNEX: {**site, "members": {"by": "search"}},
        TARGET_ANNEX: {"destination": "annex_cloud", **site},
    }


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(port=0, contacts=60, segments_api="both", seed=7) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def before(sandbox, tmp_path_factory):
    """What rounds move where no switch is turned, by service and generation."""
    return {}


class Case:
    """A round of one service, and the doctor for the plugins in it."""

    def __init__(self, sandbox, directory, kind, api, before):
        self.rounds, self.kind = Rounds(sandbox, directory), kind
        self.settings = settings_of(sandbox, api)
        self.plugins = ANNEX if kind == "annex" else DYNAMICS
        if (kind, api) not in before:
            before[kind, api] = self.run({})
            assert not before[kind, api]["rejects"]
        self.expected = before[kind, api]

    def run(self, switches, changes=()):
        settings = {name: {**each, **dict(changes).get(name, {})} for name, each in self.settings.items()}
        self.rounds.begin(switches)
        return getattr(self.rounds, self.kind)(settings)

    def other(self, switches, changes=()):
        """The parts of what was moved that are other than before."""
        parts, expected = flat(self.run(switches, changes)), flat(self.expected)
        return {name for name in parts.keys() | expected.keys() if parts.get(name) != expected.get(name)}


def flat(moved):
    return {
        f"{name}.{each}": part
        for name, parts in moved.items()
        for each, part in (parts if isinstance(parts, dict) else {"": parts}).items()
    }


@pytest.fixture
def consulted(tmp_path):
    """The report of the doctor for a case, canary and all."""

    def consult(here):
        path, report = tmp_path / "settings.json", tmp_path / "report.json"
        path.write_text(json.dumps({name: here.settings[name] for name in here.plugins}))
        arguments = ["--canary", "--config", str(path), "--report", str(report)]
        assert CliRunner().invoke(doctor, arguments, catch_exceptions=False).exit_code == 1
        return json.loads(report.read_text())

    return consult


@pytest.fixture
def case(sandbox, before, tmp_path, monkeypatch):
    monkeypatch.setattr("annex_d365.gate.Gate.sleep", lambda _, seconds: sandbox.clock.advance(seconds))
    monkeypatch.setattr("annex_d365.retry.MAX_PAUSE_SECONDS", 0.02)

    def make(board, api="journeys"):
        return Case(sandbox, tmp_path, "annex" if board == "annex" else "d365", api, before)

    return make


def test_no_switch_is_forgotten():
    boards = {"annex": SiteSwitches, "dataverse": OrganisationSwitches, "marketing": MarketingSwitches}
    for board, switches in boards.items():
        told = {name for table in (COPED, NAMED, SAYS_LESS, TO_DO) for name in table[board]}
        assert told == set(switches.names())
    assert set(SignInSwitches.names()) == {"error_status", "error_numbers"}  # test_refused_sign_ins


@pytest.mark.parametrize("switches", packs("annex", "dataverse", "marketing"))
def test_the_jobs_cope(case, switches):
    (board,) = switches
    assert case(board).other(switches) == set()


@pytest.mark.parametrize("switches", packs("marketing"))
def test_the_jobs_cope_with_outbound_segments(case, switches):
    assert case("marketing", "outbound").other(switches) == set()


@pytest.mark.parametrize(("board", "name", "value"), cases(NAMED, "annex", "dataverse"))
def test_the_doctor_names_what_makes_the_jobs_do_the_same(case, consulted, board, name, value):
    value, setting = value
    here, switches = case(board), {board: {name: value}}
    here.rounds.begin(switches)
    changes = consulted(here)["settings_to_change"]
    assert {each for settings in changes.values() for each in settings} == {setting}
    assert here.other(switches, changes) == set()


@pytest.mark.parametrize(("board", "name", "value"), cases(SAYS_LESS, "annex", "marketing"))
def test_the_jobs_run_though_less_is_said(case, board, name, value):
    value, parts = value
    assert case(board, "outbound").other({board: {name: value}}) == set(parts)


@pytest.mark.parametrize(("board", "name", "value"), cases(TO_DO, "dataverse", "marketing"))
def test_the_doctor_says_what_is_to_be_done(case, consulted, board, name, value):
    value, told = value
    here = case(board, "outbound")
    here.rounds.begin({board: {name: value}})
    report = consulted(here)
    assert told in json.dumps([report["to_do"], report["settings_to_change"], report["text"]])


@pytest.mark.parametrize(
    ("name", "value"), [("error_status", "all_400"), ("error_status", "all_401"), ("error_numbers", False)]
)
def test_refused_sign_ins(case, consulted, name, value):
    here = case("dataverse")
    here.settings = {name: {**each, "client_secret": "wrong"} for name, each in here.settings.items()}
    here.rounds.begin({"sign_in": {name: value}})
    assert "client_secret" in json.dumps(consulted(here)["to_do"])
