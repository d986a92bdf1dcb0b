"""Checks of Annex Cloud that write one test segment, with the test member in it (Annex page 10)."""

from __future__ import annotations

from collections.abc import Iterable

import requests

from annex_d365.annexcloud.segment_words import INACTIVE
from annex_d365.annexcloud.segment_writing import (
    MEMBERS_PER_CALL,
    DateForm,
    MemberForm,
)
from annex_d365.annexcloud.segments import Segment
from annex_d365.doctor.annex_access import TOKEN
from annex_d365.doctor.annex_site import Site, nobody, refused
from annex_d365.doctor.canary_segment import CanarySegment
from annex_d365.doctor.model import (
    CannotTellError,
    Change,
    Checks,
    Finding,
    cannot_tell,
    differs,
    failed,
    ok,
    unsupported,
)
from annex_d365.errors import ConnectorError

SEGMENT = "annex.canary.segment"
_ADD = "annex.canary.add"
#: Words that ``memberUpdate`` may have; the one that is set comes first.
_ADD_WORDS = ("ADD", "APPEND", "INSERT", "INCLUDE", "UPDATE", "MERGE", "PLUS")
_REMOVE_WORDS = ("REMOVE", "DELETE", "EXCLUDE", "DROP", "MINUS", "SUBTRACT")


CHECKS: Checks[Site] = Checks(needs=SEGMENT, writes=True)


def _segment(site: Site) -> CanarySegment:
    if SEGMENT not in site.notes:
        site.notes[SEGMENT] = CanarySegment(site)
    found: CanarySegment = site.notes[SEGMENT]
    return found


@CHECKS(
    SEGMENT,
    "A segment can be created, with days in the form that is set",
    page="10.1",
    how="POST /segment",
    needs=TOKEN,
)
def _create(site: Site) -> Finding:
    bird, segment = site.bird, _segment(site)
    bird.making(f"Segment {bird.name}", lambda: _remove(site))
    wanted = segment.dates
    answer = segment.create()
    for form in DateForm:
        if answer.ok or answer.status != requests.codes.bad_request:
            break
        if form is not wanted:
            segment.dates = form
            answer = segment.create()
    if not answer.ok:
        bird.not_made()
        return refused(answer) or failed(
            f"{answer.route} was answered with {answer.status}, whatever the form of its days.",
            todo="Ask Annex Cloud for the words for a static and an active segment, and set `segment_words`.",
        )
    if not segment.id:
        return failed("The answer does not tell the new segment's id.", todo="Please send in the report.")
    if segment.dates is not wanted:
        changes = site.change("segment_date_form", segment.dates.value)
        return differs(f"Days must be in the form `{segment.dates.value}`, not `{wanted.value}`.", changes)
    return ok(f"It was created with {answer.status}, days in the form `{wanted.value}`.")


@CHECKS("annex.canary.external_id", "External id and name are kept", page="10.1, 10.5", how="GET /segmentlist/all")
def _external_id(site: Site) -> Finding:
    found = _listed(site)
    if found is None:
        return cannot_tell("The list does not show the segment (yet).")
    if found.external_id == site.bird.name:
        return ok("They are.")
    return differs("The list does not show them: copies from Dynamics 365 cannot be told from originals there.")


@CHECKS(
    _ADD,
    "A member can be put into it, in the form and by the word that are set",
    page="10.1, 10.2",
    how="PATCH /segment/{id} with member and memberUpdate",
    needs=f"{SEGMENT}",
)
def _add(site: Site) -> Finding:
    segment, name = _segment(site), site.bird.name
    if not site.get("users", name).ok:
        return cannot_tell("There is no test member.")
    form, word = segment.members, segment.add
    for other_form in (form, *(each for each in MemberForm if each is not form)):
        segment.members = other_form
        segment.add = _works(segment, name, _first(word, _ADD_WORDS))
        if segment.add:
            changes: tuple[Change, ...] = ()
            if other_form is not form:
                changes += site.change("segment_member_form", other_form.value)
            if segment.add != word:
                changes += site.change("segment_member_update.add", segment.add)
            facts = f"as a {other_form.value}, by `{segment.add}`"
            return differs(f"It can {facts}.", changes) if changes else ok(f"It can, {facts}.")
    segment.members, segment.add = form, None
    bare = (
        "; without a word it is put in" if segment.put([name], None).ok and segment.comes_to(name, inside=True) else ""
    )
    return failed(
        f"None of the words {', '.join(_first(word, _ADD_WORDS))} puts it in, in either form{bare}.",
        todo="Ask Annex Cloud for the values of `memberUpdate`, and set `segment_member_update`.",
    )


@CHECKS(
    "annex.canary.add_keeps",
    "That word leaves the other members in",
    page="10.2",
    how="PATCH /segment/{id} with an id of nobody",
    needs=_ADD,
)
def _add_keeps(site: Site) -> Finding:
    segment = _segment(site)
    answer = segment.put([nobody()], segment.add)
    if not segment.still_has(site.bird.name):
        word = _keeping(site, segment)
        changes = site.change("segment_member_update.add", word) if word else ()
        todo = "" if word else "Ask Annex Cloud for the value of `memberUpdate` that adds."
        return failed(f"`{segment.add}` replaces all members.", changes, todo)
    if not answer.ok:
        return differs(f"An id of nobody is refused with all others of its call ({answer.status}).")
    return ok("It does, and an id of nobody is passed over.")


@CHECKS(
    "annex.canary.no_word",
    "Without a word members are added",
    page="10.2",
    how="PATCH /segment/{id} without memberUpdate",
    needs=_ADD,
)
def _no_word(site: Site) -> Finding:
    segment = _with_member(site)
    answer = segment.put([nobody()], None)
    if not answer.ok:
        return cannot_tell(f"It is {answer.status} with an id of nobody.")
    if segment.still_has(site.bird.name):
        return ok("They are; the connector always sends one.")
    return differs("All members are replaced; the connector always sends a word.")


@CHECKS(
    "annex.canary.no_members",
    "A change without members leaves them alone",
    page="10.2",
    how="PATCH /segment/{id} without member",
    needs=_ADD,
)
def _no_members(site: Site) -> Finding:
    segment = _with_member(site)
    segment.change(externalName=site.bird.name)
    if segment.still_has(site.bird.name):
        return ok("It does.")
    return unsupported("It empties the segment.", "annex_d365/annexcloud/segment_writing.py")


@CHECKS(
    "annex.canary.many_members",
    "A call may name 100 members",
    page="10.1, 10.6",
    how="PATCH /segment/{id} with 100 ids of nobody",
    needs=_ADD,
)
def _many(site: Site) -> Finding:
    segment = _segment(site)
    if not segment.put([nobody()], segment.add).ok:
        return cannot_tell("Ids of nobody are refused.")
    if segment.put([nobody() for _ in range(MEMBERS_PER_CALL)], segment.add).ok:
        return ok("It may.")
    return differs("It may not: the connector then sends half as many, until it works.")


@CHECKS(
    "annex.canary.remove",
    "A member can be taken out, by the word that is set",
    page="10.2",
    how="PATCH /segment/{id} with member and memberUpdate",
    needs=_ADD,
)
def _take_out(site: Site) -> Finding:
    segment, name = _segment(site), site.bird.name
    wanted = segment.remove
    for word in _first(wanted, _REMOVE_WORDS):
        _with_member(site)
        if segment.put([name], word).ok and segment.comes_to(name, inside=False):
            segment.remove = word
            if word == wanted:
                return ok(f"It can, by `{word}`.")
            return differs(f"It can, by `{word}`.", site.change("segment_member_update.remove", word))
    return failed(
        f"None of the words {', '.join(_first(wanted, _REMOVE_WORDS))} takes it out.",
        todo="Ask Annex Cloud for the values of `memberUpdate`, and set `segment_member_update`.",
    )


@CHECKS(
    "annex.canary.inactive", "A segment can be made INACTIVE", page="10.1, 10.6", how="PATCH /segment/{id} of status"
)
def _inactive(site: Site) -> Finding:
    word = site.service.segment_words.inactive
    answer = _segment(site).change(status=word)
    if not answer.ok:
        return differs(
            f"`{word}` is refused ({answer.status}).",
            todo="Ask Annex Cloud for the word for a segment that is not in use, and set `segment_words.inactive`.",
        )
    shown = _listed(site)
    if shown and shown.status == INACTIVE:
        return ok("It can.")
    return cannot_tell("The list does not show its status.")


def _listed(site: Site) -> Segment | None:
    """The segment as the list shows it; None if it does not."""
    try:
        return next((each for each in site.list_segments() if each.segment_id == _segment(site).id), None)
    except ConnectorError:
        return None


def _first(word: str | None, words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*([word] if word else []), *words]))


def _works(segment: CanarySegment, member: str, words: Iterable[str]) -> str | None:
    """The first word by which the member is in the segment afterwards."""
    return next(
        (word for word in words if segment.put([member], word).ok and segment.comes_to(member, inside=True)), None
    )


def _with_member(site: Site) -> CanarySegment:
    """The segment with the test member in it, who is put in again if need be.

    Raises:
        CannotTellError: that does not work.
    """
    segment, member = _segment(site), site.bird.name
    put = segment.has(member) or segment.put([member], segment.add).ok
    if not (put and segment.comes_to(member, inside=True)):
        raise CannotTellError("The test member is not in the segment.")
    return segment


def _keeping(site: Site, segment: CanarySegment) -> str | None:
    """A word that adds, and leaves the others in."""
    for word in _ADD_WORDS:
        put = segment.put([site.bird.name], word).ok and segment.comes_to(site.bird.name, inside=True)
        if put and segment.put([nobody()], word).ok and segment.still_has(site.bird.name):
            return word
    return None


def _remove(site: Site) -> str | None:
    """There is no deletion (Annex page 10.6): it is emptied and made INACTIVE."""
    segment, name = _segment(site), site.bird.name
    if not segment.id:
        # Its reply may have been lost.
        rows = site.list_segments()
        segment.id = next((each.segment_id for each in rows if name in {each.external_id, each.name}), "")
    if not segment.id:
        return None
    if segment.remove:
        segment.put([name], segment.remove)
    if segment.change(status=site.service.segment_words.inactive).ok:
        return f"Segment {name} (id {segment.id}) is INACTIVE now: Annex Cloud cannot delete segments."
    return f"Segment {name} (id {segment.id}) could not be made INACTIVE: do so in Annex Cloud."
