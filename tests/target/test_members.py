"""Contacts become members: who is found, who is enrolled, and what is written. Against the sandbox."""

from __future__ import annotations

import datetime as dt
import io
from contextlib import redirect_stdout

import pytest
from loyalty import FIELDS, contact, guid, lines, load, load_rows, record, schema, state
from support import run_tap, tap_config

from annex_d365.errors import ConnectorError, SettingError
from target_annex.target import TargetAnnex


def ago(seconds, end=".%fZ"):
    moment = dt.datetime.now(dt.timezone.utc) - dt.timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S" + end)


def test_existing_members_are_updated_and_nobody_is_enrolled(site):
    site.put(id="M1", email="person.1@example.org", firstName="Old", lastName="Díaz", zipCode="1000")
    before = site.ids()
    states = load_rows(site.config(), [contact(1, cr0dd_loyaltyid="M1"), contact(2), contact(3, cr0dd_loyaltyid="M3")])
    assert states[-1] == {"at": 3}
    assert site.ids() == before
    member = site.member("M1")
    assert (member["firstName"], member["zipCode"], member["optInStatus"]) == ("Ana", "1000", "YES")
    assert site.rejects() == []


def test_the_report_counts(site, caplog):
    caplog.set_level("INFO")
    site.put(id="M1", email="person.1@example.org", firstName="Old")
    site.put(id="M2", email="person.2@example.org", firstName="Ana", lastName="Díaz")
    rows = [
        contact(1, cr0dd_loyaltyid="M1"),
        contact(2, cr0dd_loyaltyid="M2"),
        contact(3, cr0dd_loyaltyenrol=True),
        contact(4),
        contact(5, emailaddress1=None),
    ]
    target = TargetAnnex(config=site.config(enrol="flagged", skip_unchanged="read"))
    target.listen(io.StringIO(lines([schema(), *map(record, rows)])))
    target.log_report()
    rejects = site.directory / "rejects.singer"
    assert (
        f"contacts: 1 created, 1 updated, 1 unchanged, 0 deleted, 1 skipped (not enrolled), 1 rejected (see {rejects})"
        in caplog.text
    )
    assert "Annex Cloud: " in caplog.text


def test_a_stream_without_rows_is_reported_too(site, caplog):
    caplog.set_level("INFO")
    target = TargetAnnex(config=site.config())
    target.listen(io.StringIO(lines([schema()])))
    target.log_report()
    assert "contacts: 0 created, 0 updated, 0 unchanged, 0 deleted, 0 skipped, 0 rejected" in caplog.text


@pytest.mark.parametrize(
    ("enrol", "enrolled"),
    [("existing", set()), ("flagged", {"N2", "person.4@example.org"}), ("all", {"N1", "N2", "person.4@example.org"})],
)
def test_who_is_enrolled(site, enrol, enrolled):
    before = site.ids()
    rows = [
        contact(1, cr0dd_loyaltyid="N1", cr0dd_loyaltyenrol=False),
        contact(2, cr0dd_loyaltyid="N2", cr0dd_loyaltyenrol=True),
        contact(3, cr0dd_loyaltyid="N3", cr0dd_loyaltyenrol=True, statecode=1),
        contact(4, cr0dd_loyaltyenrol=True, statecode=0),
    ]
    load_rows(site.config(enrol=enrol), rows)
    assert site.ids() - before == enrolled
    assert {site.member(each)["optInStatus"] for each in enrolled} <= {"NO"}


def test_mode_update_never_enrols(site):
    before = site.ids()
    load_rows(site.config(enrol="all", streams={"contacts": {"mode": "update"}}), [contact(1)])
    assert site.ids() == before


@pytest.mark.parametrize(("value", "status"), [(True, "YES"), (False, "NO"), (None, "NO")])
def test_enrolled_members_are_opted_in_only_when_mapped_and_true(site, value, status):
    streams = {"contacts": {"object": "members", "fields": {**FIELDS, "optInStatus": "optedin"}}}
    load_rows(site.config(enrol="all", streams=streams), [contact(1, optedin=value)])
    assert site.member("person.1@example.org")["optInStatus"] == status


@pytest.mark.parametrize("skip_unchanged", ["read", "off"])
def test_who_left_stays_out_after_a_full_refresh_and_a_replay(site, skip_unchanged):
    streams = {"contacts": {"object": "members", "fields": {**FIELDS, "optInStatus": "optedin"}}}
    config = site.config(enrol="all", streams=streams, skip_unchanged=skip_unchanged)
    rows = [contact(1, optedin=True)]
    load_rows(config, rows)
    assert site.member("person.1@example.org")["optInStatus"] == "YES"
    site.sandbox.site.update_member("person.1@example.org", {"optInStatus": "NO"})
    for _ in range(2):
        load_rows(config, rows)
        assert site.member("person.1@example.org")["optInStatus"] == "NO"
    load_rows({**config, "reopt_in": True}, rows)
    assert site.member("person.1@example.org")["optInStatus"] == "YES"


@pytest.mark.parametrize(
    ("reopt_in", "date"), [(False, "2020-01-01T00:00:00+0000"), (True, "2026-01-01T00:00:00+0000")]
)
def test_the_date_goes_with_the_opt_in(site, reopt_in, date):
    site.put(id="M1", email="person.1@example.org", optInStatus="NO", optInDate="2020-01-01T00:00:00+0000")
    fields = {"email": "emailaddress1", "optInStatus": "optedin", "optInDate": "modifiedon"}
    config = site.config(enrol="all", reopt_in=reopt_in, streams={"contacts": {"fields": fields}})
    since = {"modifiedon": "2026-01-01T00:00:00Z"}
    rows = [contact(1, cr0dd_loyaltyid="M1", optedin=True, **since), contact(2, optedin=True, **since)]
    load_rows(config, [*rows, contact(3, optedin=False, **since)])
    assert site.member("M1")["optInDate"] == date
    assert site.member("person.2@example.org")["optInDate"] == since["modifiedon"].replace("Z", "+0000")
    assert site.member("person.3@example.org")["optInDate"] != since["modifiedon"].replace("Z", "+0000")


def test_an_empty_opt_in_is_no_opinion(site):
    site.put(id="M1", email="person.1@example.org")
    streams = {"contacts": {"clear_nulls": True, "fields": {"email": "emailaddress1", "optInStatus": "optedin"}}}
    load_rows(site.config(streams=streams), [contact(1, cr0dd_loyaltyid="M1", optedin=None)])
    assert site.member("M1")["optInStatus"] == "YES"


def test_opting_out_is_passed_on(site):
    site.put(id="M1", email="person.1@example.org")
    streams = {"contacts": {"object": "members", "fields": {"email": "emailaddress1", "optInStatus": "optedin"}}}
    load_rows(site.config(streams=streams), [contact(1, cr0dd_loyaltyid="M1", optedin=False)])
    assert site.member("M1")["optInStatus"] == "NO"


@pytest.mark.parametrize("skip_unchanged", ["read", "off"])
def test_opt_in_is_never_touched_unless_mapped(site, skip_unchanged):
    site.put(id="M1", email="person.1@example.org", optInStatus="NO")
    site.put(id="M2", email="person.2@example.org", optInStatus="YES")
    rows = [contact(1, cr0dd_loyaltyid="M1", optedin=True), contact(2, cr0dd_loyaltyid="M2", optedin=False)]
    load_rows(site.config(skip_unchanged=skip_unchanged), rows)
    assert (site.member("M1")["optInStatus"], site.member("M2")["optInStatus"]) == ("NO", "YES")
    assert site.member("M1")["firstName"] == "Ana"


@pytest.mark.parametrize("envelope", ["flat", "Data"])
@pytest.mark.parametrize("numbers", ["number", "string"])
def test_a_second_run_writes_nothing(site, envelope, numbers):
    site.switch(envelope=envelope, numbers=numbers)
    config = site.config(enrol="all")
    rows = [
        contact(1, cr0dd_loyaltyid="M1", birthdate="1990-02-28", address1_postalcode="01234", mobilephone=" +34 1 "),
        contact(2, address1_postalcode="12345"),
        contact(3, firstname=None),
    ]
    load_rows(config, rows)
    assert len([status for *_, status in site.writes() if status != 404]) == 3
    site.forget_log()
    load_rows(config, rows)
    assert site.writes() == []


def test_only_what_differs_is_written(site):
    site.put(id="M1", email="person.1@example.org", firstName="Ana", lastName="Old", phone="1", birthDate="1980-01-01")
    load_rows(site.config(), [contact(1, cr0dd_loyaltyid="M1", mobilephone=None, birthdate="1980-01-01T00:00:00Z")])
    member = site.member("M1")
    assert (member["lastName"], member["phone"], member["birthDate"]) == ("Díaz", "1", "1980-01-01")


@pytest.mark.parametrize(("clear_nulls", "phone"), [(False, "1"), (True, "")])
def test_an_empty_column_empties_a_field_only_when_told(site, clear_nulls, phone):
    site.put(id="M1", email="person.1@example.org", phone="1")
    config = site.config(streams={"contacts": {"clear_nulls": clear_nulls}})
    rows = [contact(1, cr0dd_loyaltyid="M1", mobilephone=None)]
    load_rows(config, rows)
    assert (site.member("M1")["phone"] or "") == phone
    site.forget_log()
    load_rows(config, rows)
    assert site.writes() == []


def test_off_writes_unread(site):
    site.put(id="M1", email="person.1@example.org", firstName="Old")
    load_rows(site.config(skip_unchanged="off"), [contact(1, cr0dd_loyaltyid="M1"), contact(2, cr0dd_loyaltyid="M2")])
    asked = sorted(each[:2] for each in site.log())
    assert asked == [("GET", "/mergeuser/M2"), ("PATCH", "/users/M1"), ("PATCH", "/users/M2")]
    assert site.member("M1")["firstName"] == "Ana"
    assert site.member("M2") is None


def test_off_enrols_after_a_404(site):
    load_rows(site.config(skip_unchanged="off", enrol="all"), [contact(2, cr0dd_loyaltyid="M2")])
    assert site.member("M2")["optInStatus"] == "NO"


def test_members_are_found_by_address(site):
    site.put(id="M1", email="Person.1@Example.org", firstName="Old")
    site.put(id="person.2@example.org", email="", firstName="Old")
    load_rows(site.config(), [contact(1), contact(2)])
    assert site.member("M1")["firstName"] == "Ana"
    assert site.member("person.2@example.org")["firstName"] == "Ana"


@pytest.mark.parametrize("enrol", ["existing", "all"])
def test_who_has_an_address_now_is_not_the_member_who_had_it_as_an_id(site, enrol):
    site.put(id="person.1@example.org", email="new@example.org", firstName="Old")
    load_rows(site.config(enrol=enrol), [contact(1, firstname="Stranger")])
    assert site.member("person.1@example.org")["firstName"] == "Old"
    assert site.reasons() == ["a member has this e-mail address for its id, and another one for its address"]


def test_an_address_of_several_members_rejects_the_row(site):
    site.put(id="M1", email="person.1@example.org", firstName="Old")
    site.put(id="M2", email="person.1@example.org", firstName="Old")
    load_rows(site.config(), [contact(1), contact(2, emailaddress1=None)])
    assert site.reasons() == [
        "several members have this e-mail address",
        "neither a member id nor an e-mail address says who this is",
    ]
    assert site.member("M1")["firstName"] == "Old"


@pytest.mark.parametrize("batch_size_rows", [1, 2, 10])
def test_the_first_row_of_a_member_wins(site, batch_size_rows):
    site.put(id="M1", email="person.1@example.org", firstName="Old")
    rows = [
        contact(1, cr0dd_loyaltyid="M1", firstname="First"),
        contact(2, cr0dd_loyaltyid="M1", firstname="Second"),
        contact(3, emailaddress1="new@example.org", firstname="Third"),
        contact(4, emailaddress1="NEW@example.org", firstname="Fourth"),
        contact(1, cr0dd_loyaltyid="M1", firstname="First again"),
    ]
    load_rows(site.config(enrol="all", batch_size_rows=batch_size_rows), rows)
    assert site.member("M1")["firstName"] == "First again"
    assert site.member("new@example.org")["firstName"] == "Third"
    assert site.reasons() == [
        f"rows {guid(1)} and {guid(2)} are the same member; only the former is written",
        f"rows {guid(3)} and {guid(4)} are the same member; only the former is written",
    ]


@pytest.mark.parametrize("skip_unchanged", ["read", "off"])
@pytest.mark.parametrize("batch_size_rows", [1, 2, 10])
def test_a_row_that_knows_the_id_wins_over_one_with_the_address(site, batch_size_rows, skip_unchanged):
    site.put(id="M1", email="person.1@example.org", firstName="Old")
    spouse = contact(2, emailaddress1="person.1@example.org", firstname="Spouse")
    rows = [spouse, contact(1, cr0dd_loyaltyid="M1", firstname="Owner"), spouse]
    load_rows(site.config(batch_size_rows=batch_size_rows, skip_unchanged=skip_unchanged), rows)
    assert site.member("M1")["firstName"] == "Owner"
    same = f"rows {guid(1)} and {guid(2)} are the same member; only the former is written"
    assert set(site.reasons()) == {same}
    assert len(site.reasons()) == (1 if batch_size_rows == 1 else 2)
    assert {each["reject"]["code"] for each in site.rejects() if "reject" in each} == {"LINKED"}


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


def test_rows_of_one_contact_keep_their_order(site):
    site.put(id="M1", email="person.1@example.org")
    site.fault(route="/users/M1", method="PATCH", kind="latency", seconds=0.2, count=1)
    rows = [contact(1, cr0dd_loyaltyid="M1", firstname=f"Name {number}") for number in range(5)]
    load_rows(site.config(), rows)
    assert site.member("M1")["firstName"] == "Name 4"


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
    out = io.StringIO()
    with redirect_stdout(out):
        config = site.config(enrol="all", streams=streams)
        TargetAnnex(config=config).listen(io.StringIO(messages.replace('"number": 0', '"number": 1e999999999')))
    assert site.reasons() == [
        "column `modifiedon` is not a date and time (ISO 8601)",
        "column `number` is a number of more than 40 digits",
    ]
    assert out.getvalue() == '{"at":2}\n'


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


def test_a_deletion_of_a_row_that_was_never_linked_changes_nothing(site, caplog):
    caplog.set_level("INFO")
    site.put(id="M1", email="person.1@example.org", firstName="Old")
    deleted = {"contactid": guid(1), "_sdc_deleted_at": "2026-01-01T00:00:00Z"}
    also = contact(2, _sdc_deleted_at="2026-01-01T00:00:00Z", cr0dd_loyaltyid="M1")
    before = site.ids()
    target = TargetAnnex(config=site.config(enrol="all"))
    target.listen(io.StringIO(lines([schema(), record(deleted), record(also)])))
    target.log_report()
    assert site.log() == []
    assert site.ids() == before
    assert site.rejects() == []
    assert "0 deleted, 2 skipped (deleted at the source), 0 rejected" in caplog.text


def test_extended_attributes(site):
    site.switch(extended_attributes=["size", "colour"])
    site.put(id="M1", email="person.1@example.org", extendedAttribute={"colour": "red"})
    streams = {"contacts": {"fields": {"email": "emailaddress1", "extendedAttribute.size": "lastname"}}}
    load_rows(site.config(streams=streams), [contact(1, cr0dd_loyaltyid="M1")])
    assert site.member("M1")["extendedAttribute"] == {"colour": "red", "size": "Díaz"}


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


def test_streams_of_any_name(site):
    columns = {"id": {"type": "integer"}, "mail": {"type": "string"}, "name": {"type": ["string", "null"]}}
    streams = {"people": {"object": "members", "fields": {"id": "id", "email": "mail", "firstName": "name"}}}
    rows = [{"id": 4711, "mail": "person.1@example.org", "name": "Ana"}]
    messages = [schema("people", columns, ["id"]), *(record(row, "people") for row in rows)]
    load(site.config(enrol="all", streams=streams), messages)
    assert site.member("4711")["firstName"] == "Ana"


@pytest.mark.parametrize(
    ("more", "messages", "sentence"),
    [
        ({}, [schema("campaigns")], "Setting `streams`: stream campaigns is not known (known: contacts"),
        (
            {"streams": {"contacts": {"fields": {"email": "mail"}}}},
            [schema()],
            "Setting `streams.contacts.fields`: stream contacts has no column `mail`.",
        ),
        (
            {"streams": {"contacts": {"key": "guid"}}},
            [schema()],
            "Setting `streams.contacts.key`: stream contacts has no column `guid`.",
        ),
        ({}, [schema(key=())], "Setting `streams.contacts.key`: stream contacts has no key"),
        ({"enrol_flag_column": "flag", "enrol": "flagged"}, [schema()], "Setting `enrol_flag_column`: stream contacts"),
        ({"member_id_column": "none", "streams": {"contacts": {"fields": {"firstName": "firstname"}}}}, [schema()],
         "Setting `member_id_column`: stream contacts has no column `none`"),
        ({"streams": {"contacts": {"fields": {}}}}, [], "Setting `streams.contacts.fields`: is empty"),
        ({"streams": {"contacts": {"fields": {"address.city": "lastname"}}}}, [schema()], "`address.city` is no field"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_the_stream(site, more, messages, sentence):
    with pytest.raises(SettingError) as error:
        load(site.config(**more), messages)
    assert sentence in str(error.value)


def test_presets_apply_as_far_as_the_schema_goes(site):
    site.put(id="M1", email="person.1@example.org", lastName="Old")
    columns = {"contactid": {"type": "string"}, "emailaddress1": {"type": "string"}, "lastname": {"type": "string"}}
    row = {"contactid": guid(1), "emailaddress1": "person.1@example.org", "lastname": "New"}
    load(site.config(), [schema(columns=columns), record(row)])
    assert site.member("M1")["lastName"] == "New"
