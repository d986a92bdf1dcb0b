"""Rows that become no member, one by one, and their way back. Against the sandbox."""

from __future__ import annotations

import datetime as dt

import pytest
from loyalty import contact, guid, lines, listened, load, load_rows, record, schema, state
from support import run_tap, tap_config

from annex_d365.errors import ConnectorError, SettingError
from target_annex.target import TargetAnnex


def ago(seconds, end=".%fZ"):
    moment = dt.datetime.now(dt.timezone.utc) - dt.timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S" + end)


def test_a_row_whose_member_another_row_has_is_rejected_again(site):
    site.put(id="M1", email="person.1@example.org", firstName="Old", updateDate=ago(7200, "%z"))
    rows = [contact(number, cr0dd_loyaltyid="M1", firstname="Old", lastname=None) for number in (1, 2)]
    config = site.config()
    load_rows(config, rows)
    rejects = site.rejects()
    rejects[1]["record"]["firstname"] = "Other"
    site.forget_log()
    load(config, rejects)
    assert site.log() == []
    assert site.reasons()[1:] == [f"rows {guid(1)} and {guid(2)} are the same member; only the former is written"]
    assert site.rejects()[-1]["reject"]["code"] == "LINKED"


def test_the_rejects_of_a_run_write_nothing_when_they_are_piped_in_again(site):
    site.seed()
    messages = run_tap(tap_config(site.sandbox))
    config = site.config(enrol="all", max_reject_percent=100)
    load(config, [each for each in messages if each.get("stream", "contacts") == "contacts"])
    rejects = site.rejects()
    codes = {each["reject"]["code"] for each in rejects if "reject" in each}
    assert "LINKED" in codes
    site.forget_log()
    load(config, rejects)
    assert [each for each in site.writes() if each[2] < 300] == []
    assert len(site.rejects()) == 2 * len(rejects)


@pytest.mark.parametrize("member_id", ["a/b", "x?y#z", "100% sure", "Zoë 世界", "a;b=c&d", "ana@example.org", "..a"])
def test_ids_of_any_kind(site, member_id):
    config = site.config(enrol="all")
    for name in ("Ana", "Eva"):
        load_rows(config, [contact(1, cr0dd_loyaltyid=member_id, firstname=name)])
        assert site.member(member_id)["firstName"] == name


def test_poison_rows_are_alone(site):
    rows = [contact(number, cr0dd_loyaltyid=f"N{number}") for number in range(30)]
    rows[3]["emailaddress1"] = "no address"
    rows[7]["birthdate"] = "yesterday"
    rows[11]["cr0dd_loyaltyid"] = ".."
    rows[13]["firstname"] = 4
    states = load_rows(site.config(enrol="all"), rows)
    assert states[-1] == {"at": 30}
    assert {f"N{number}" for number in range(30)} - site.ids() == {"N3", "N7", "N11", "N13"}
    rejected = [each["record"]["contactid"] for each in site.rejects() if each["type"] == "RECORD"]
    assert sorted(rejected) == [guid(number) for number in (3, 7, 11, 13)]
    codes = {each["record"]["contactid"]: each["reject"]["status"] for each in site.rejects() if "reject" in each}
    assert codes == {guid(3): 400, guid(7): 0, guid(11): 0, guid(13): 0}


BAD_IDS = ["x/tiers", "a\n\rb", "..", "M" * 501, "a\x00b"]
BAD_ADDRESSES = ["x@example.com/tiers", "a\n\rb@example.com", "m" * 501 + "@example.com", "a/reward"]


def test_ids_and_addresses_that_the_service_refuses_are_alone(site):
    columns = {**schema()["schema"]["properties"], "cr0dd_loyaltyid": {}, "emailaddress1": {}}
    rows = [contact(number, cr0dd_loyaltyid=each) for number, each in enumerate(BAD_IDS)]
    rows += [contact(10 + number, emailaddress1=each) for number, each in enumerate(BAD_ADDRESSES)]
    rows.insert(7, contact(99, cr0dd_loyaltyid="N99"))
    states = load(site.config(enrol="all"), [schema(columns=columns), *map(record, rows), state(1)])
    assert states == [{"at": 1}]
    assert site.member("N99")["firstName"] == "Ana"
    assert sorted(site.reasons()) == [
        *["Annex Cloud refuses this id, and no other: a sign in it has a meaning in an address."] * 2,
        *["This id cannot be part of an address."] * 4,
        *["This id is longer than 500 characters."] * 2,
    ]
    # A slash is no fault in the body of a bulk call.
    assert site.member("x/tiers")["firstName"] == "Ana"


@pytest.mark.parametrize(
    ("stream_map", "kind"),
    [
        ({"firstname": "firstname if 1 / (firstname != 'Marker') else ''"}, "ZeroDivisionError"),
        ({"firstname": "firstname if firstname != 'Marker' or int(firstname) else ''"}, "ValueError"),
        ({"firstname": "record[firstname] if firstname == 'Marker' else firstname"}, "KeyError"),
        ({"firstname": "nobody if firstname == 'Marker' else firstname"}, "NameNotDefined"),
        ({"__filter__": "firstname != 'Marker' or firstname > 5"}, "TypeError"),
    ],
)
def test_a_stream_map_that_fails_on_a_value_rejects_the_row(site, caplog, stream_map, kind):
    caplog.set_level("DEBUG")
    rows = [contact(1, cr0dd_loyaltyid="N1", firstname="Marker"), contact(2, cr0dd_loyaltyid="N2")]
    messages = [schema(), schema(), *map(record, rows), state(2)]
    assert load(site.config(enrol="all", stream_maps={"contacts": stream_map}), messages) == [{"at": 2}]
    assert site.reasons() == [f"a stream map failed on it ({kind})"]
    assert f"contacts: row {guid(1)} is rejected: a stream map failed" in caplog.text
    assert "N2" in site.ids()
    sdk_shows_config = caplog.text.replace("'Marker'", "")
    assert "Marker" not in sdk_shows_config


def test_values_that_a_filter_sees_are_not_logged(site, caplog):
    caplog.set_level("DEBUG")
    stream_maps = {"contacts": {"__filter__": "firstname"}}
    load_rows(site.config(stream_maps=stream_maps), [contact(1, cr0dd_loyaltyid="N1", firstname="Marker")])
    assert "Marker" not in caplog.text


def test_stream_maps_that_are_no_expressions_are_a_wrong_setting(site):
    with pytest.raises(SettingError, match="Setting `stream_maps`: does not suit stream contacts"):
        load(site.config(stream_maps={"contacts": {"firstname": "zzz("}}), [schema()])


def test_half_a_surrogate_pair_rejects_the_row_until_it_is_mended(site):
    config = site.config(enrol="all")
    rows = [contact(1, cr0dd_loyaltyid="N1", firstname="\ud800"), contact(2, cr0dd_loyaltyid="N2")]
    assert load_rows(config, rows) == [{"at": 2}]
    assert site.reasons() == ["a text holds half of a surrogate pair"]
    assert "N2" in site.ids()
    rejects = site.rejects()
    assert rejects[1]["record"] == rows[0]
    load(config, rejects)
    assert "N1" not in site.ids()
    rejects[1]["record"]["firstname"] = "Ana"
    load(config, rejects)
    assert "N1" in site.ids()


def test_numbers_and_dates_at_the_edge_reject_the_row(site):
    streams = {"contacts": {"fields": {"email": "emailaddress1", "optInDate": "modifiedon", "phone": "number"}}}
    columns = {**schema()["schema"]["properties"], "number": {}}
    far = "9999-12-31T23:59:59-02:00"
    messages = lines(
        [schema(columns=columns), record(contact(1, modifiedon=far)), record({**contact(2), "number": 0}), state(2)]
    )
    target = TargetAnnex(config=site.config(enrol="all", streams=streams))
    said = listened(target, messages.replace('"number": 0', '"number": 1e999999999'))
    assert site.reasons() == [
        "column `modifiedon` is not a date and time (ISO 8601)",
        "column `number` is a number of more than 40 digits",
    ]
    assert said == '{"at":2}\n'


def test_rejects_can_be_piped_in_again(site):
    rows = [contact(1, cr0dd_loyaltyid="N1", emailaddress1="no address"), contact(2, cr0dd_loyaltyid="N2")]
    config = site.config(enrol="all", stream_maps={"contacts": {"lastname": "firstname"}})
    load_rows(config, rows)
    messages = site.rejects()
    assert [each["type"] for each in messages] == ["SCHEMA", "RECORD"]
    assert messages[1]["record"] == rows[0], "as it came, before stream maps"
    messages[1]["record"]["emailaddress1"] = "right@example.org"
    load(config, messages)
    assert (site.member("N1")["lastName"], site.member("N1")["email"]) == ("Ana", "right@example.org")


@pytest.mark.parametrize("skip_unchanged", ["read", "off"])
def test_rejects_overwrite_nothing_newer(site, skip_unchanged):
    hour = 3600
    site.put(id="M1", email="person.1@example.org", updateDate=ago(2 * hour, "%z"))
    site.put(id="M2", email="person.2@example.org", updateDate=ago(0, "%z"), firstName="Newer")
    why = {"reason": "", "code": "", "status": 0}
    messages = [
        {
            **record(contact(number, cr0dd_loyaltyid=f"M{number}", firstname=name)),
            "reject": {**why, "at": ago(hours * hour)},
        }
        for number, name, hours in [(1, "Old", 1.5), (1, "New", 1), (2, "Old", 1.5), (2, "New", 1)]
    ]
    load(site.config(skip_unchanged=skip_unchanged), [schema(), *messages])
    assert site.member("M1")["firstName"] == "New"
    assert site.member("M2")["firstName"] == "Newer"
    reason = "the member has changed since this row was rejected; take the row from its source again"
    assert site.reasons() == [reason, reason]


def test_a_run_does_not_feed_on_its_own_rejects(site):
    config = site.config(enrol="all", batch_size_rows=1)
    # The file has grown by the time that its end is read: a batch is written while the next two are read.
    load_rows(config, [contact(number, emailaddress1="no address") for number in range(5)])
    path = site.directory / "rejects.singer"
    target = TargetAnnex(config=config)
    with path.open() as stream, pytest.raises(ConnectorError, match="own file of rejects"):
        target.listen(stream)
    target.let_go()


def test_on_error_fail_ends_the_run_without_its_state(site):
    config = site.config(enrol="all", on_error="fail", batch_size_rows=1)
    rows = [record(contact(1)), state(1), record(contact(2, emailaddress1="no address")), state(2)]
    with pytest.raises(ConnectorError, match=rf"contacts: row {guid(2)} is rejected: .*`on_error` is fail"):
        load(config, [schema(), *rows])
    assert site.rejects() == []


def test_too_many_rejects_fail_the_run_after_all_is_written(site):
    rows = [contact(number, cr0dd_loyaltyid=f"N{number}") for number in range(100)]
    for row in rows[:6]:
        row["firstname"] = 4
    with pytest.raises(ConnectorError, match=r"More than 5 % of the rows were rejected .*: contacts"):
        load_rows(site.config(enrol="all"), rows)
    assert len(site.ids() & {f"N{number}" for number in range(100)}) == 94
    load_rows(site.config(enrol="all", max_reject_percent=6), rows)
