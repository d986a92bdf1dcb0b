"""Checks of Dynamics 365: segments of both generations (Dataverse page 8)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import requests

from annex_d365.dataverse.segments.choice import find_marketing
from annex_d365.dataverse.segments.generations import JOURNEYS, MEMBER_IDS, OUTBOUND, STATIC, Generation
from annex_d365.dataverse.segments.journeys import MEMBERS_LIST
from annex_d365.dataverse.segments.members import ContactColumns
from annex_d365.dataverse.segments.outbound import FETCH
from annex_d365.dataverse.segments.outbound_names import OTHER_QUERY
from annex_d365.dataverse.segments.segment import Segment, Segments
from annex_d365.dataverse.segments.writing_outbound import VALIDATE
from annex_d365.doctor.d365_organisation import Organisation
from annex_d365.doctor.d365_tables import TABLES
from annex_d365.doctor.model import CannotTellError, Checks, Finding, cannot_tell, differs, failed, ok, unsupported
from annex_d365.errors import ConnectorError

_GENERATION = "d365.segments"
_NONE = "There are no segments."
_LOOKED_AT = 20
_NOT_USED = "Outbound segments are not used here."
_NOT_USED_JOURNEYS = "Segments of real-time journeys are not used here."

CHECKS: Checks[Organisation] = Checks(needs=_GENERATION)


@CHECKS(
    _GENERATION,
    "The segments that the settings choose are there",
    page="8.1",
    how="GET EntityDefinitions of msdynmkt_segment and msdyncrm_segment",
    needs=TABLES,
)
def _segments(organisation: Organisation) -> Finding:
    names = [each.name for each in organisation.generations]
    if not names:
        return cannot_tell("The organisation has no segments of either generation; jobs of segments do nothing.")
    if organisation.generation is None:
        changes = organisation.change("segments_api", names[0])
        return failed(f"The organisation has those of {' and '.join(names)} only.", changes)
    return ok(f"There are {' and '.join(names)}; {organisation.generation.name} are used.")


@CHECKS("d365.outbound", "Outbound marketing is still at work", page="8.1, 8.3", how=f"POST {VALIDATE} (reads only)")
def _outbound(organisation: Organisation) -> Finding:
    if OUTBOUND not in organisation.generations:
        return cannot_tell("The organisation has no outbound segments.")
    answer = _validate(organisation, {})
    used = organisation.generation is OUTBOUND
    if answer.status == requests.codes.not_found:
        sentence = "It was withdrawn: rows of outbound segments can be read, their members cannot."
        if not used:
            return differs(f"{sentence} They are not used here.")
        other = JOURNEYS in organisation.generations
        changes = organisation.change("segments_api", JOURNEYS.name) if other else ()
        todo = "" if changes else "Leave out the streams of segments: no members can be read."
        return failed(sentence, changes, todo)
    if not answer.ok:
        return cannot_tell(f"{answer.route} was answered with {answer.status}.")
    return ok("It is.") if used else differs("It is, though its segments are not used here.")


@CHECKS(
    "d365.segment_query",
    "The query of a segment is `msdyncrm_segmentquery`, with keywords in any case",
    page="8.3, 8.5",
    how=f"POST {VALIDATE} (reads only)",
    needs="d365.outbound",
)
def _segment_query(organisation: Organisation) -> Finding:
    if organisation.generation is not OUTBOUND or _validate(organisation, {}).status == requests.codes.not_found:
        return cannot_tell(_NOT_USED)
    names = (OUTBOUND.columns["query"], OTHER_QUERY)
    name = next((each for each in names if _validate(organisation, {each: "PROFILE(contact)"}, dynamic=True).ok), "")
    if not name:
        return unsupported(f"{' and '.join(names)} are refused.", "annex_d365/dataverse/segments/writing_outbound.py")
    if name == OTHER_QUERY:
        return differs(f"It is `{name}`, by which the connector writes it where the other name is refused.")
    lower = _validate(organisation, {name: "profile(contact)"}, dynamic=True)
    valid = isinstance(lower.body, Mapping) and lower.body.get("ValidationResult") in ("[]", None)
    if not lower.ok or not valid:
        return differs("Keywords must be in upper case; queries are written as they come.")
    return ok("It is.")


@CHECKS(
    "d365.segment_origin",
    "Segments have the column that tells copies from originals",
    page="8.2, 8.6",
    how="GET EntityDefinitions",
)
def _origin(organisation: Organisation) -> Finding:
    generation = organisation.generation
    if generation is None:
        return cannot_tell(_NONE)
    column = organisation.setting("segment_origin_column", generation.origin)
    if column in organisation.tables[generation.logical_name].columns:
        return ok(f"`{column}`.")
    todo = "Make a text column in that table, and set `segment_origin_column` and `segments.origin_column` to it."
    return differs(f"Table {generation.logical_name} has no column `{column}`.", todo=todo)


@CHECKS(
    "d365.journey_ids",
    "Actions of journeys take the segment's own id",
    page="8.6",
    how=f"POST {MEMBERS_LIST} with the ids of a segment and of its definition (reads only)",
    needs="d365.outbound",
)
def _journey_ids(organisation: Organisation) -> Finding:
    segment = _live(organisation, JOURNEYS, lambda each: each.definition)
    own, other = (_listed(organisation, each) for each in (segment.segment_id, str(segment.definition)))
    if own == other == requests.codes.not_found:
        return failed("They find neither that nor the id of its definition.", todo="Please send in the report.")
    if own == requests.codes.not_found:
        return differs("They take the id of its definition only, which the connector sends once its own is not found.")
    if other == requests.codes.not_found:
        return ok("They take no other.")
    return ok("They take the id of its definition, too.")


@CHECKS(
    "d365.segment_members",
    "Members of a segment can be read",
    page="8.3, 8.4, 8.6",
    how=f"POST {FETCH}, {MEMBERS_LIST} or ListGroupMembers of one live segment (reads only)",
    needs="d365.journey_ids",
)
def _members(organisation: Organisation) -> Finding:
    marketing = (
        find_marketing(organisation.dataverse, organisation.generation.name) if organisation.generation else None
    )
    live = [each for each in _some(organisation) if each.is_live and each.base_table == "contact"]
    if marketing is None or not live:
        return cannot_tell("There is no live segment of contacts to look at.")
    reader = marketing.members(ContactColumns(organisation.dataverse))
    last: ConnectorError | None = None
    for segment in live:
        reader.begin([segment])
        try:
            rows = next(iter(reader.pages(segment)), ())
        except ConnectorError as error:
            last = error
            continue
        if rows:
            return ok(f"They can: {len(rows)} on the first page of one segment.")
    if last is not None:
        return failed(
            f"No segment's members can be read. {last}", todo="If the services are there, please send in the report."
        )
    return cannot_tell("Live segments have no members.")


@CHECKS(
    "d365.fetch_reply",
    "FetchContactsByQuery answers with `value`",
    page="8.4, 11",
    how=f"POST {FETCH} of one live segment (reads only)",
    needs="d365.outbound",
)
def _fetch_reply(organisation: Organisation) -> Finding:
    segment = _live(organisation, OUTBOUND, lambda each: each.query_name)
    body = {
        "Query": f"(SEGMENT({segment.query_name})).ORDERBY(contactid ASC).SKIP(0).TAKE(1).SELECT(contactid)",
        "FetchXml": '<fetch version="1.0" mapping="logical" count="1" page="1" returntotalrecordcount="true">'
        '<entity name="contact"><attribute name="contactid"/></entity></fetch>',
        "Scope": segment.scope or 270100000,
        "TimeZone": None,
    }
    answer = organisation.send("POST", FETCH, FETCH, body)
    if answer.ok and isinstance(answer.body, Mapping) and isinstance(answer.body.get("value"), list):
        return ok("It does.")
    return differs("It answers in another form, which the connector reads." if answer.ok else f"It is {answer.status}.")


@CHECKS(
    "d365.member_ids",
    "Ids of static members have no prefix",
    page="8.3",
    how="GET msdyncrm_segments, msdyncrm_segmentmemberids",
    needs="d365.outbound",
)
def _member_ids(organisation: Organisation) -> Finding:
    if organisation.generation is not OUTBOUND:
        return cannot_tell(_NOT_USED)
    for segment in (each for each in _some(organisation) if each.kind == STATIC):
        with suppress(ConnectorError):
            row = organisation.dataverse.get(f"{OUTBOUND.entity_set}({segment.segment_id})?$select={MEMBER_IDS}")
            ids = str(row.get(MEMBER_IDS) or "")
            if '"' in ids:
                return (
                    differs("They begin with `crm`, which the connector takes off.") if '"crm' in ids else ok("None.")
                )
    return cannot_tell("There is no static segment with members to look at.")


@CHECKS(
    "d365.draft_members",
    "MembersList of a segment that is not live says so in a success",
    page="8.6",
    how=f"POST {MEMBERS_LIST} of a draft (reads only)",
    needs="d365.journey_ids",
)
def _draft_members(organisation: Organisation) -> Finding:
    if organisation.generation is not JOURNEYS:
        return cannot_tell(_NOT_USED_JOURNEYS)
    draft = next((each for each in _some(organisation) if not each.is_live), None)
    if draft is None:
        return cannot_tell("All segments are live.")
    status = _listed(organisation, draft.segment_id)
    if status == requests.codes.not_found:
        return cannot_tell("It is not found.")
    return (
        ok("It does.") if status == requests.codes.ok else differs(f"It is {status}; the connector understands both.")
    )


def _some(organisation: Organisation) -> Sequence[Segment]:
    generation = organisation.generation
    if generation is None:
        return ()
    reader = Segments(organisation.dataverse, generation, organisation.tables[generation.logical_name])
    return list(islice(reader.read(queries=False), _LOOKED_AT))


def _live(organisation: Organisation, generation: Generation, has: Callable[[Segment], Any]) -> Segment:
    """A live segment of the generation that is used.

    Raises:
        CannotTellError: another one is used, or there is none.
    """
    if organisation.generation is not generation:
        raise CannotTellError(_NOT_USED if generation is OUTBOUND else _NOT_USED_JOURNEYS)
    segment = next((each for each in _some(organisation) if each.is_live and has(each)), None)
    if segment is None:
        raise CannotTellError("There is no live segment to look at.")
    return segment


def _listed(organisation: Organisation, segment_id: str) -> int:
    return organisation.send("POST", MEMBERS_LIST, MEMBERS_LIST, {"SegmentId": segment_id}).status


def _validate(organisation: Organisation, query: Mapping[str, str], *, dynamic: bool = False) -> Any:
    kind = {word: value for value, word in OUTBOUND.kinds.items()}["dynamic" if dynamic else STATIC]
    given = {OUTBOUND.columns["name"]: "-", OUTBOUND.columns["kind_value"]: kind}
    return organisation.send("POST", VALIDATE, VALIDATE, {**given, **(query or {MEMBER_IDS: "[]"})})
