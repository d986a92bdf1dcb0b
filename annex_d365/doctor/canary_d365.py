"""Checks of Dynamics 365 that write one test contact and one test segment (Dataverse pages 5, 8)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import requests

from annex_d365.dataverse.segments.generations import DRAFT, JOURNEYS, OUTBOUND, STATIC
from annex_d365.dataverse.segments.segment import Segment
from annex_d365.dataverse.segments.writing_journeys import JourneysCopies
from annex_d365.dataverse.segments.writing_outbound import MEMBERS_UPDATE, OutboundCopies
from annex_d365.dataverse.writes.calls import Calls
from annex_d365.dataverse.writes.discovery import read_definition
from annex_d365.dataverse.writes.operations import WriteOptions
from annex_d365.doctor.d365_access import USER
from annex_d365.doctor.d365_organisation import CONTACT, CONTACTS, Organisation, code_of
from annex_d365.doctor.model import Checks, Finding, cannot_tell, differs, failed, ok, uncovered, unsupported
from annex_d365.errors import ConnectorError, PrivilegeError, RowError, SettingError

CREATED = "d365.canary.contact"
SEGMENT = "d365.canary.segment"
_DUPLICATES = frozenset({"0x80040237", "0x80060892"})
_CONFLICTS = frozenset({400, 409, 412})
_ROUTE = f"{CONTACTS}(id)"
_LOOKUP = "parentcustomerid_account"

CHECKS: Checks[Organisation] = Checks(needs=CREATED, writes=True)


@CHECKS(CREATED, "A contact can be created, with a key that is given", page="5.1", how="POST contacts", needs=USER)
def _create(organisation: Organisation) -> Finding:
    bird, key = organisation.bird, str(uuid.uuid4())
    organisation.notes[CREATED] = key
    bird.making(f"Contact {bird.name}", lambda: _remove(organisation, key))
    answer = _post(organisation, key)
    if not answer.ok:
        bird.not_made()
    if answer.status == requests.codes.forbidden:
        return failed("The user may not create contacts.", todo="Add prvCreateContact to the user's security role.")
    if not answer.ok:
        return failed(f"{answer.route} was answered with {answer.status} {code_of(answer)}".rstrip() + ".")
    return ok(f"It was created ({answer.status}).")


@CHECKS("d365.canary.again", "A taken key is 412 with 0x80040237", page="7, 11", how="POST contacts once more")
def _again(organisation: Organisation) -> Finding:
    answer = _post(organisation, organisation.notes[CREATED])
    code = code_of(answer)
    facts = f"{answer.status} with {code or 'no code'}"
    if answer.status in _CONFLICTS and code.lower() in _DUPLICATES:
        expected = answer.status == requests.codes.precondition_failed
        return ok(f"It is {facts}.") if expected else differs(f"It is {facts}; the connector goes by the code.")
    return unsupported(f"It is {facts}.", "annex_d365/dataverse/writes/tasks.py")


@CHECKS("d365.canary.update", "A contact can be changed", page="5.1", how="PATCH contacts(id) with If-Match: *")
def _update(organisation: Organisation) -> Finding:
    answer = organisation.send(
        "PATCH",
        f"{CONTACTS}({organisation.notes[CREATED]})",
        _ROUTE,
        {"firstname": "Canary"},
        {"If-Match": "*"},
    )
    if answer.status == requests.codes.forbidden:
        return failed("The user may not change contacts.", todo="Add prvWriteContact to the user's security role.")
    return ok("It can.") if answer.ok else failed(f"{answer.route} was answered with {answer.status}.")


@CHECKS(
    "d365.canary.clear_lookup",
    "A lookup is emptied by null",
    page="5.1",
    how="PATCH contacts(id) with parentcustomerid_account@odata.bind; else DELETE of the reference",
    needs="d365.canary.update",
)
def _clear_lookup(organisation: Organisation) -> Finding:
    body = {f"{_LOOKUP}@odata.bind": None}
    answer = organisation.send("PATCH", f"{CONTACTS}({organisation.notes[CREATED]})", _ROUTE, body, {"If-Match": "*"})
    if answer.ok:
        return ok("It is.")
    reference = f"{CONTACTS}({organisation.notes[CREATED]})/{_LOOKUP}/$ref"
    if organisation.send("DELETE", reference, f"{_ROUTE}/{_LOOKUP}/$ref").ok:
        return differs(f"It is refused ({answer.status}); the connector then deletes the reference, row by row.")
    return unsupported(
        f"It is refused ({answer.status}), and so is DELETE of the reference: lookups cannot be emptied.",
        "annex_d365/dataverse/writes/lookups.py",
    )


@CHECKS(
    "d365.canary.bulk",
    "Contacts can be written many at a time",
    page="5.3",
    how="POST UpdateMultiple with the contact",
    needs="d365.canary.update",
)
def _bulk(organisation: Organisation) -> Finding:
    if "UpdateMultiple" not in read_definition(organisation.dataverse, CONTACT).messages:
        return cannot_tell("Contacts have no bulk messages; they are sent in batches.")
    target = {"@odata.type": "Microsoft.Dynamics.CRM.contact", "contactid": organisation.notes[CREATED]}
    url = f"{CONTACTS}/Microsoft.Dynamics.CRM.UpdateMultiple"
    answer = organisation.send("POST", url, url, {"Targets": [{**target, "firstname": "Canary"}]})
    if answer.ok:
        return ok("They can.")
    return differs(f"It is refused ({answer.status}); the connector sends batches instead.")


@CHECKS(
    "d365.canary.key",
    "A contact is found by its loyalty id",
    page="4, 5.1",
    how="PATCH contacts(id), GET contacts(<key>)",
    needs="d365.canary.update",
)
def _key(organisation: Organisation) -> Finding:
    column, name = organisation.member_id_column, organisation.bird.name
    keys = read_definition(organisation.dataverse, CONTACT, fresh=True).keys
    if not any(each.active and tuple(each.columns) == (column,) for each in keys):
        return cannot_tell(f"There is no Active key over `{column}`.")
    key = organisation.notes[CREATED]
    organisation.send("PATCH", f"{CONTACTS}({key})", _ROUTE, {column: name}, {"If-Match": "*"})
    answer = organisation.get(f"{CONTACTS}({column}='{name}')?$select=contactid", f"{CONTACTS}(key)")
    found = answer.body.get("contactid") if answer.ok and isinstance(answer.body, Mapping) else None
    return ok("It is.") if found == key else failed(f"{answer.route} was answered with {answer.status}.")


@CHECKS(
    SEGMENT,
    "A segment can be created",
    page="8.2, 8.6",
    how="POST msdynmkt_segmentdefinitions and msdynmkt_segments, or msdyncrm_segments",
    needs="d365.journey_ids",
)
def _segment(organisation: Organisation) -> Finding:
    generation = organisation.generation
    if generation is None:
        return cannot_tell("There are no segments of the chosen generation.")
    bird, key = organisation.bird, str(uuid.uuid4())
    service = _copies(organisation)
    segment = Segment(
        key,
        generation.name,
        name=bird.name,
        kind=STATIC,
        status=DRAFT,
        origin=bird.name,
        definition=service.definition(key),
    )
    organisation.notes[SEGMENT] = segment
    bird.making(f"Segment {bird.name}", lambda: _remove_segment(organisation, segment))
    try:
        service.create(segment)
    except PrivilegeError:
        raise
    except SettingError as error:
        # It names a setting of rows; these columns are no setting's.
        return failed(str(error).partition(": ")[2], todo=uncovered("annex_d365/dataverse/segments"))
    return ok(f"It was created as a draft of {generation.name}.")


@CHECKS(
    "d365.canary.segment_members",
    "Static members can be put into it and taken out",
    page="8.3, 8.6",
    how="msdynmkt_AddStaticMembers, or msdyncrm_SegmentMembersUpdate",
    needs=SEGMENT,
)
def _members(organisation: Organisation) -> Finding:
    segment, contact = organisation.notes.get(SEGMENT), organisation.notes.get(CREATED)
    if segment is None or contact is None:
        return cannot_tell("There is no test segment, or no test contact.")
    service = _copies(organisation)
    service.add(segment, [contact])
    service.remove(segment, [contact])
    return ok("The service takes both wishes.")


@CHECKS(
    "d365.canary.unknown_members",
    "Ids of nobody among static members are passed over",
    page="8.3, 8.6",
    how="msdynmkt_AddStaticMembers, or msdyncrm_SegmentMembersUpdate",
    needs=SEGMENT,
)
def _unknown_members(organisation: Organisation) -> Finding:
    segment = organisation.notes.get(SEGMENT)
    if segment is None:
        return cannot_tell("There is no test segment.")
    try:
        _copies(organisation).add(segment, [str(uuid.uuid4())])
    except RowError:
        return differs("They are refused with all others of their call: the connector then sends fewer at once.")
    return ok("They are.")


@CHECKS(
    "d365.canary.segment_state",
    "SegmentMembersUpdate tells its state",
    page="8.3, 11",
    how="msdyncrm_SegmentMembersUpdate with getState",
    needs=SEGMENT,
)
def _state(organisation: Organisation) -> Finding:
    segment = organisation.notes.get(SEGMENT)
    if segment is None or organisation.generation is not OUTBOUND:
        return cannot_tell("Outbound segments are not used here.")
    body = {"msdyncrm_segmentid": segment.segment_id, "msdyncrm_operation": "getState", "msdyncrm_memberids": "[]"}
    answer = organisation.send("POST", MEMBERS_UPDATE, MEMBERS_UPDATE, body)
    if answer.ok and isinstance(answer.body, Mapping):
        return ok(f"It is {answer.status} with a text.")
    return differs(f"It is {answer.status} without one; the connector does not ask for it.")


@CHECKS("d365.canary.delete", "A contact can be deleted", page="5.1", how="DELETE contacts(id)")
def _delete(organisation: Organisation) -> Finding:
    answer = _delete_contact(organisation, organisation.notes[CREATED])
    if answer.status == requests.codes.forbidden:
        return failed(
            "The user may not delete contacts.", todo="Add prvDeleteContact to the user's role, and delete it."
        )
    return ok("It can.") if answer.ok else failed(f"{answer.route} was answered with {answer.status}.")


def _post(organisation: Organisation, key: str) -> Any:
    row = {"contactid": key, "lastname": organisation.bird.name, "emailaddress1": organisation.bird.email}
    return organisation.send("POST", CONTACTS, CONTACTS, row)


def _copies(organisation: Organisation) -> JourneysCopies | OutboundCopies:
    kind = JourneysCopies if organisation.generation is JOURNEYS else OutboundCopies
    generation = JOURNEYS if organisation.generation is JOURNEYS else OUTBOUND
    column = organisation.setting("segment_origin_column", generation.origin)
    return kind(organisation.dataverse, Calls(organisation.dataverse, WriteOptions()), column)


def _delete_contact(organisation: Organisation, key: str) -> Any:
    return organisation.send("DELETE", f"{CONTACTS}({key})", _ROUTE)


def _remove(organisation: Organisation, key: str) -> str | None:
    answer = _delete_contact(organisation, key)
    if answer.ok or answer.status == requests.codes.not_found:
        return None
    return f"Contact {organisation.bird.name} could not be removed ({answer.status}): delete it in Dynamics 365."


def _remove_segment(organisation: Organisation, segment: Segment) -> str | None:
    try:
        _copies(organisation).delete(segment)
    except ConnectorError:
        return f"Segment {organisation.bird.name} could not be removed: delete it in Dynamics 365."
    return None
