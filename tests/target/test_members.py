"""Contacts become members: who is found, who is enrolled, and what is written. Against the sandbox."""

from __future__ import annotations

import io

import pytest
from loyalty import FIELDS, contact, guid, lines, load, load_rows, record, schema

from annex_d365.errors import SettingError
from target_annex.target import TargetAnnex


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


def test_rows_of_one_contact_keep_their_order(site):
    site.put(id="M1", email="person.1@example.org")
    site.fault(route="/users/M1", method="PATCH", kind="latency", seconds=0.2, count=1)
    rows = [contact(1, cr0dd_loyaltyid="M1", firstname=f"Name {number}") for number in range(5)]
    load_rows(site.config(), rows)
    assert site.member("M1")["firstName"] == "Name 4"


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
