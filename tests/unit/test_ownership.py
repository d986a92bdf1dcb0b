"""Which side fields follow, and what becomes of those that both sides have changed."""

from __future__ import annotations

import datetime as dt
import logging
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annex_d365.fields import CONTACT_COLUMNS, DEFAULT_PREFIX, Form, Group, comparable
from annex_d365.ledger import digest
from target_annex.mapping import member_mapping
from target_annex.member_settings import member_rules
from target_annex.ownership import TOLD_CONFLICTS, Conflicts, Ownership, Verdict, ownership, verdict
from target_annex.presets import PRESETS, annex_preset, row_preset
from target_annex.settings import CONFIG

values = st.sampled_from(["", "a", "b", "c"])
DEFAULTS = {name: rule.get("default") for name, rule in CONFIG["properties"].items()}


@given(said=values, there=values, last=st.none() | values)
def test_a_field_is_written_only_if_its_source_alone_has_changed_it(said, there, last):
    known = b"" if last is None else digest({"name": last, "other": "x"})
    found = verdict("name", said, there, known)
    if said == there:
        assert found is Verdict.SAME
    elif said == last:
        assert found is Verdict.LEAVE
    elif there in {"", last}:
        assert found is Verdict.WRITE
    else:
        assert found is Verdict.CONFLICT


@pytest.mark.parametrize("on_conflict", ["d365", "annex_cloud", "reject"])
def test_both_directions_agree_on_who_wins(on_conflict):
    """Otherwise they would write in turns."""
    writes = {side: Ownership(side, {}, on_conflict).writes(Verdict.CONFLICT) for side in ("d365", "annex_cloud")}
    assert writes == {
        "d365": on_conflict == "annex_cloud",
        "annex_cloud": on_conflict == "d365",
    }
    for side in writes:
        decided = Ownership(side, {}, on_conflict)
        assert {each for each in Verdict if decided.writes(each)} - {Verdict.CONFLICT} == {Verdict.WRITE}


OWNERS = st.sampled_from(["d365", "annex_cloud", "both"])


@given(identity=OWNERS, consent=OWNERS)
def test_each_field_has_one_direction_or_two(identity, consent):
    owners = {"identity": identity, "consent": consent}
    every = {each.column(DEFAULT_PREFIX): each for each in CONTACT_COLUMNS}
    into_d365 = ownership({**DEFAULTS, "destination": "d365", "field_owners": owners}).sides(every)
    preset = annex_preset("contacts", DEFAULT_PREFIX)
    into_annex = ownership({**DEFAULTS, "destination": "annex_cloud", "field_owners": owners}).sides(preset.shared)
    for column, each in every.items():
        owner = {**owners, "loyalty": "annex_cloud"}.get(each.group.value)
        assert (column in into_d365.filled) is (owner == "d365")
        assert (column in into_d365.both) is (owner == "both")
        if each.field in preset.fields:
            assert preset.fields[each.field] == column
            assert (each.field in into_annex.filled) is (owner == "annex_cloud")
            assert (each.field in into_annex.both) is (owner == "both")
        else:
            assert each.group in {Group.LINK, Group.LOYALTY}


@pytest.mark.parametrize("named", [None, {}, {"identity": None}])
def test_dynamics_owns_identity_and_consent_and_annex_cloud_loyalty_values(named):
    owners = ownership({**DEFAULTS, "destination": "d365", "field_owners": named}).owners
    assert owners == {"identity": "d365", "consent": "d365", "loyalty": "annex_cloud"}


def test_presets_of_both_directions_are_of_one_table():
    columns = {source for each in CONTACT_COLUMNS for source in each.sources}
    back = row_preset("members", "acme_", columns).fields
    there = annex_preset("contacts", "acme_").fields
    assert there.items() <= {field: column for column, field in back.items()}.items()
    assert PRESETS["annex_cloud", "contacts"].fields == annex_preset("contacts", DEFAULT_PREFIX).fields


def test_fields_that_are_named_are_written_whoever_owns_them(caplog):
    entry = {"fields": {"email": "emailaddress1", "firstName": "firstname"}}
    columns = ("contactid", "cr0dd_loyaltyid", "emailaddress1", "firstname")

    def mapped(owner, stream="contacts"):
        return member_mapping(
            stream,
            "annex_cloud",
            {**entry, "object": "members"},
            member_rules(DEFAULTS),
            columns=columns,
            key_properties=("contactid",),
            ownership=Ownership("annex_cloud", {"identity": owner}),
        )

    assert not mapped("annex_cloud").sides.filled
    (warning,) = caplog.messages
    assert "`email`, `firstName`, which belong to the destination (`field_owners`)" in warning
    caplog.clear()
    mapped("d365")
    mapped("annex_cloud", "people_of_a_shop")  # nobody else's fields
    assert caplog.messages == []


def test_conflicts_are_told_by_name_and_not_without_end(caplog):
    caplog.set_level(logging.WARNING)
    conflicts = Conflicts("contacts", Ownership())
    for number in range(TOLD_CONFLICTS + 5):
        assert conflicts.error(str(UUID(int=number)), {"b", "a"}) is None
    assert conflicts.error(str(UUID(int=0)), ()) is None
    assert len(caplog.messages) == TOLD_CONFLICTS
    assert caplog.messages[0] == (
        f"contacts: row {UUID(int=0)}: both sides have changed `a`, `b`; d365 wins (`on_conflict`)."
    )


# Forms


@given(form=st.sampled_from(Form), text=st.text())
def test_what_can_be_compared_stays_as_it_is(form, text):
    once = comparable(form, text)
    assert comparable(form, once) == once
    assert comparable(form, f"  {text}\n") == once


@pytest.mark.parametrize(
    ("form", "one", "other"),
    [
        (Form.TEXT, " Ana   María", "Ana María "),
        (Form.EMAIL, "Ana@Example.org", "ana@example.ORG "),
        (Form.PHONE, "+34 (600) 12-34", "+346001234"),
        (Form.FLAG, "yes", "YES"),
        (Form.FLAG, "0", "No"),
        (Form.MOMENT, "2026-03-01T12:00:00Z", "2026-03-01T13:00:00.5+0100"),
    ],
)
def test_forms_of_one_value(form, one, other):
    assert comparable(form, one) == comparable(form, other) != ""


@pytest.mark.parametrize(
    ("form", "one", "other"),
    [
        (Form.TEXT, "ana", "Ana"),
        (Form.EMAIL, "a@example.org", "b@example.org"),
        (Form.PHONE, "+341", "341"),
        (Form.PHONE, "1 ext 2", "12"),
        (Form.FLAG, "YES", "NO"),
        (Form.FLAG, "YES", "perhaps"),
        (Form.MOMENT, "2026-03-01T12:00:00Z", "2026-03-01T12:00:00+0100"),
    ],
)
def test_values_that_differ(form, one, other):
    assert comparable(form, one) != comparable(form, other)


@given(st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1)))  # noqa: DTZ001 - hypothesis wants them so
def test_a_moment_in_the_forms_of_both_services(moment):
    moment = moment.replace(microsecond=0)
    assert comparable(Form.MOMENT, f"{moment.isoformat()}+0000") == comparable(Form.MOMENT, f"{moment.isoformat()}Z")
