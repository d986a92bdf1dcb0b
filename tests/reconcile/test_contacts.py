"""Contacts and members, compared and mended."""

from __future__ import annotations

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

#: The form of the file.
SCHEMA = {
    "type": "object",
    "required": ["version", "compared_at", "equal", "unread", "notes", "contacts"],
    "properties": {
        "version": {"const": 1},
        "equal": {"type": "boolean"},
        "unread": {"type": "array", "items": {"type": "string"}},
        "contacts": {
            "type": "object",
            "required": ["sizes", "counts", "fields", "items"],
            "properties": {
                "sizes": {"type": "object", "required": ["contacts", "members", "pairs"]},
                "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
                "fields": {"type": "array", "items": {"required": ["name", "column", "owner", "count"]}},
                "items": {"type": "array", "items": {"type": "object", "required": ["kind"]}},
            },
        },
    },
}


def test_after_a_settled_sync_both_sides_are_equal(pair):
    assert pair.reconcile() == 0
    assert "Both sides are equal." in pair.result.output
    told = pair.told
    jsonschema.validate(told, SCHEMA)
    assert told["equal"]
    assert told["contacts"]["sizes"]["contacts"] == len(list(pair.organisation.rows("contact")))
    assert told["contacts"]["sizes"]["pairs"] == told["contacts"]["sizes"]["members"] == len(list(pair.site.members()))


def test_drift_on_either_side_is_found_told_without_values_and_mended(pair):
    (_, name), (points, _), (both, member) = pair.linked()[:3]
    pair.edit_member(name, lastName="Wrongname")
    pair.edit_contact(points, cr0dd_currenttier="Wrongtier")
    pair.edit_contact(both, cr0dd_availablepoints=77)
    pair.edit_member(member, zipCode="77777")
    assert pair.reconcile() == 1
    jsonschema.validate(pair.told, SCHEMA)
    assert pair.drift() == {
        (name["id"], "lastName"),
        (points["cr0dd_loyaltyid"], "currentTier"),
        (member["id"], "availablePoints"),
        (member["id"], "zipCode"),
    }
    owners = {each["name"]: each["owner"] for each in pair.told["contacts"]["fields"]}
    assert owners == {
        "lastName": "d365",
        "zipCode": "d365",
        "currentTier": "annex_cloud",
        "availablePoints": "annex_cloud",
    }
    for secret in ("Wrongname", "Wrongtier", name["id"], name["lastName"]):
        assert secret not in pair.result.output
    assert "Wrongname" not in pair.json.read_text()
    assert pair.reconcile("--show-values") == 1
    assert '"annex_cloud":"Wrongname"' in pair.json.read_text()
    assert "Wrongname" not in pair.result.output
    assert pair.reconcile("--repair", "--yes") == 0
    assert pair.differences() == []
    assert pair.reconcile() == 0


def test_a_second_repair_writes_nothing_and_jobs_are_settled(pair):
    _, member = pair.linked()[0]
    pair.edit_member(member, firstName="Wrong")
    assert pair.reconcile("--repair", "--yes") == 0
    assert pair.run(lambda: pair.reconcile("--repair", "--yes")) == []
    assert pair.result.exit_code == 0
    assert pair.run() == []


def test_nothing_is_written_without_consent(pair):
    _, member = pair.linked()[0]
    pair.edit_member(member, firstName="Wrong")
    ledger = (pair.directory / "ledger.db").read_bytes()
    assert pair.run(pair.reconcile) == []
    assert pair.run(lambda: pair.reconcile("--repair", answer="n\n")) == []
    assert pair.result.exit_code == 1
    assert (pair.directory / "ledger.db").read_bytes() == ledger
    assert pair.run(lambda: pair.reconcile("--repair", answer="y\n")) != []


def test_who_is_on_one_side_only(pair):
    asked = pair.organisation.create(
        "contact", {"lastname": "New", "emailaddress1": "new@example.org", "cr0dd_loyaltyenrol": 1}
    )
    pair.organisation.create("contact", {"lastname": "Nobody", "emailaddress1": "nobody@example.org"})
    dangling = pair.organisation.create("contact", {"lastname": "Lost", "cr0dd_loyaltyid": "NOSUCH"})
    pair.site.put_members([{"id": "ONLY", "email": "only@example.org", "optInDate": "2025-01-01T00:00:00+0000"}])
    assert pair.reconcile() == 1
    found = {(each["kind"], each.get("contact") or each["member"]) for each in pair.items()}
    assert found == {("member missing", asked), ("member missing", dangling), ("contact missing", "ONLY")}
    # The settings decide: who asked is enrolled, the contact of a member is made, nobody else is.
    assert pair.reconcile("--repair", "--yes") == 1
    assert {each["id"] for each in pair.site.members()} >= {"new@example.org", "ONLY"}
    assert pair.reconcile() == 1
    assert [(each["kind"], each["contact"]) for each in pair.items()] == [("member missing", dangling)]


def test_a_member_is_extra_where_no_contact_is_made(pair):
    pair.site.put_members([{"id": "ONLY", "email": "only@example.org", "optInDate": "2025-01-01T00:00:00+0000"}])
    more = {"target_d365": {"streams": {"members": {"mode": "update"}}}}
    assert pair.run(lambda: pair.reconcile("--repair", "--yes", **more)) == []
    assert pair.result.exit_code == 1
    assert [(each["kind"], each["member"]) for each in pair.items()] == [("member extra", "ONLY")]


def test_members_that_no_list_shows_are_looked_up(pair):
    (_, _), (_, member) = pair.linked()[:2]
    pair.edit_member(member, lastName="Wrong")
    ids = pair.directory / "ids.txt"
    ids.write_text("")
    assert pair.reconcile(tap_annex={"members": {"by": "ids", "path": str(ids)}}) == 1
    assert pair.drift() == {(member["id"], "lastName")}
    assert "not known" in " ".join(pair.result.output.split())


def test_a_second_contact_of_a_member_is_extra(pair):
    contact, _ = pair.linked()[0]
    same = {"emailaddress1": contact["emailaddress1"], "cr0dd_loyaltyenrol": 1}
    other = pair.organisation.create("contact", {"lastname": "Second", **same})
    assert pair.reconcile("--repair", "--yes") == 1
    assert "There is nothing that a repair could write." in pair.result.output
    assert [(each["kind"], each["contact"]) for each in pair.items()] == [("contact extra", other)]


@pytest.mark.parametrize("route", ["/contacts", "/users/search"])
def test_a_side_that_cannot_be_read(pair, route):
    pair.sandbox.control.faults.add(kind="status", status=401, route=route, probability=1.0)
    assert pair.reconcile() == 2
    assert pair.result.output.startswith("Error: ")


def test_what_the_settings_lack(pair):
    assert pair.reconcile(target_annex={"enrol": "perhaps"}) == 2
    assert "enrol" in pair.result.output
    assert pair.reconcile("--what", "everything") == 2


def test_killed_in_the_middle_of_a_repair(pair, monkeypatch):
    _, first = pair.linked()[0]
    contact, _ = pair.linked()[1]
    pair.edit_member(first, lastName="Wrong")
    pair.edit_contact(contact, cr0dd_currenttier="Wrong")
    with monkeypatch.context() as patch:
        patch.setattr("target_annex.dynamics.rows.RowWriter.write", _killed)
        assert pair.reconcile("--repair", "--yes") == 1
        assert "Aborted!" in pair.result.output
    assert pair.reconcile() == 1
    assert pair.drift() == {(contact["cr0dd_loyaltyid"], "currentTier")}
    assert pair.reconcile("--repair", "--yes") == 0
    assert pair.reconcile() == 0


def _killed(*_):
    raise KeyboardInterrupt


IDENTITY = ("firstName", "lastName", "zipCode")
LOYALTY = ("cr0dd_currenttier", "cr0dd_loyaltystatus", "cr0dd_nexttier")
NAMES = {"cr0dd_currenttier": "currentTier", "cr0dd_loyaltystatus": "status", "cr0dd_nexttier": "nextTier"}
edits = st.dictionaries(st.tuples(st.integers(0, 7), st.sampled_from(IDENTITY + LOYALTY)), st.integers(), max_size=8)


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=edits)
def test_random_drift_is_found_exactly(pair, edits):
    linked = pair.linked()
    expected = set()
    for (number, name), value in edits.items():
        contact, member = linked[number]
        if name in LOYALTY:
            pair.edit_contact(contact, **{name: f"drift {value}"})
            expected.add((member["id"], NAMES[name]))
        elif contact[{"firstName": "firstname", "lastName": "lastname", "zipCode": "address1_postalcode"}[name]]:
            pair.edit_member(member, **{name: f"drift {value}"})
            expected.add((member["id"], name))
    assert pair.reconcile("--repair", "--yes") == 0
    assert pair.drift() == expected
    assert pair.reconcile() == 0
