"""Checks of Annex Cloud: segments, and lists in pages (Annex pages 3, 10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from annex_d365.annexcloud.segment_words import ACTIVE, DYNAMIC, INACTIVE, STATIC
from annex_d365.annexcloud.segment_writing import Dialect, SegmentWriting
from annex_d365.annexcloud.segments import eligible
from annex_d365.doctor.annex_access import TOKEN
from annex_d365.doctor.annex_site import SAMPLES, Site, inner, names_of, no_data, refused
from annex_d365.doctor.model import Checks, Finding, cannot_tell, differs, failed, ok, unsupported
from annex_d365.errors import ConnectorError

LIST = "annex.segments"
_NONE = "There is no segment to look at."
_KEY = "allSegmentDetails"
#: Other words that such paths are known to have (Annex page 4: ``GET /actions/ALL``).
_OTHER_WORDS = ("ALL", "any", "every", "active")
#: Needed to tell copies from originals, and how many members there should be.
_WANTED = ("externalId", "memberCount")

CHECKS: Checks[Site] = Checks(needs=LIST)


@CHECKS(LIST, "Segments are listed by GET /segmentlist/all", page="2.3, 10.5", how="GET /segmentlist/all", needs=TOKEN)
def _list(site: Site) -> Finding:
    answer = site.get("segmentlist", site.service.segment_words.all, query={"page": 1})
    if no_data(answer):
        return ok("The site has no segments yet.")
    if refusal := refused(answer):
        return refusal
    if not answer.ok:
        return _other_word(site, answer.status)
    try:
        found = site.list_segments()
    except ConnectorError as error:
        return unsupported(str(error), "annex_d365/annexcloud/segments.py")
    if isinstance(inner(answer.body), Mapping) and _KEY in inner(answer.body):
        return ok(f"There are {len(found)} segments, in `{_KEY}`.")
    return differs(f"There are {len(found)} segments in a list of another name, which the connector reads.")


def _other_word(site: Site, status: int) -> Finding:
    """The word for all segments is refused: is there another one?"""
    sentence = f"The word `{site.service.segment_words.all}` is refused ({status})"
    word = next((each for each in _OTHER_WORDS if site.get("segmentlist", each, query={"page": 1}).ok), None)
    if word is None:
        todo = "Ask Annex Cloud for the word by which all segments are listed, and set `segment_words.all`."
        return failed(f"{sentence}.", todo=todo)
    changes = site.learn("segment_words.all", word)
    return differs(f"{sentence}; `{word}` is accepted, and shows {len(_rows(site))} segments.", changes)


@CHECKS(
    "annex.segment_words",
    "Their types are static and dynamic, their states ACTIVE and INACTIVE",
    page="10.1",
    how="GET /segmentlist/all",
)
def _words(site: Site) -> Finding:
    rows = _rows(site)
    if not rows:
        return cannot_tell(_NONE)
    words = site.service.segment_words
    types = sorted({str(row.get("segmentType") or row.get("type") or "") for row in rows} - {""})
    states = sorted({str(row.get("status") or "") for row in rows} - {""})
    strange_types = [each for each in types if words.kind(each) not in {STATIC, DYNAMIC}]
    strange_states = [each for each in states if words.status(each) not in {ACTIVE, INACTIVE}]
    if not (strange_types or strange_states):
        return ok("No other words are used.") if types and states else cannot_tell("The list does not show them.")
    meant = {**_meant_types(site, rows, strange_types), **_meant_states(site, strange_states)}
    changes = tuple(each for ours, word in meant.items() for each in site.learn(f"segment_words.{ours}", word))
    open_ = [each for each in (*strange_types, *strange_states) if each not in meant.values()]
    todo = f"Set `segment_words` to what {', '.join(open_)} mean, if segments are written." if open_ else ""
    return differs(f"Other words are used: {', '.join((*strange_types, *strange_states))}.", changes, todo)


def _meant_types(site: Site, rows: Sequence[Mapping[str, Any]], strange: Sequence[str]) -> dict[str, str]:
    """Our words and those of the site: of a static segment the members are listed (Annex page 10.3)."""
    listing = []
    for word in strange:
        shown = (row for row in rows if word in {row.get("segmentType"), row.get("type")})
        ids = [str(row.get("segmentId") or row.get("id")) for row in islice(shown, SAMPLES)]
        if any(_lists_members(site, each) for each in ids):
            listing.append(word)
    other = [each for each in strange if each not in listing]
    # Of a lone word it is not known that it is that of all segments with rules.
    meant = {STATIC: listing[0]} if len(listing) == 1 else {}
    return {**meant, **({DYNAMIC: other[0]} if meant and len(other) == 1 else {})}


def _lists_members(site: Site, segment_id: str) -> bool:
    try:
        return bool(SegmentWriting(site.service, Dialect()).members(segment_id))
    except ConnectorError:
        return False


def _meant_states(site: Site, strange: Sequence[str]) -> dict[str, str]:
    """Our words and those of the site: lists of active and inactive segments tell (Annex page 10.5)."""
    meant = {}
    for ours in (ACTIVE, INACTIVE) if strange else ():
        listed = site.get("segmentlist", ours, query={"page": 1})
        shown = {str(row.get("status") or "") for row in _listed(listed.body)} if listed.ok else set()
        if len(shown) == 1 and shown <= set(strange):
            meant[ours] = shown.pop()
    return meant


@CHECKS(
    "annex.segment_fields", "The list shows external ids and member counts", page="10.5", how="GET /segmentlist/all"
)
def _fields(site: Site) -> Finding:
    rows = _rows(site)
    if not rows:
        return cannot_tell(_NONE)
    missing = [name for name in _WANTED if name not in names_of(rows)]
    if "externalId" in missing and any(each.external_id for each in site.segments):
        missing.remove("externalId")
    if "externalId" in missing:
        return cannot_tell("No segment is shown with an external id, perhaps because none has one; `--canary` tells.")
    if missing:
        return differs(f"It does not show {missing[0]}; members are counted as they are read.")
    return ok("It does.")


@CHECKS("annex.segment_dates", "Days of segments are shown as yyyy-MM-dd", page="10.1", how="GET /segmentlist/all")
def _dates(site: Site) -> Finding:
    shown = [str(row.get("segmentFromDate") or row.get("fromDate") or "") for row in _rows(site)]
    shown = [each for each in shown if each]
    if not shown:
        return cannot_tell("The list does not show days.")
    forms = {_form(each) for each in shown}
    wanted = site.setting("segment_date_form", Dialect.dates.value)
    if forms == {wanted}:
        return ok(f"They are in the form that is written, `{wanted}`.")
    told = ", ".join(f"`{each}`" for each in sorted(forms))
    return differs(f"They are shown as {told}, and written as `{wanted}`; `--canary` tells which form is accepted.")


@CHECKS("annex.segment_members", "Members of a segment can be read", page="10.4", how="GET /eligiblesegment/{id}")
def _members(site: Site) -> Finding:
    if not site.segments:
        return cannot_tell(_NONE)
    answer = site.get("eligiblesegment", site.segments[0].segment_id, query={"page": 1})
    if refusal := refused(answer):
        return refusal
    if no_data(answer):
        return cannot_tell("The first segment has no members.")
    try:
        found = eligible(inner(answer.body))
    except ConnectorError as error:
        return unsupported(str(error), "annex_d365/annexcloud/segments.py")
    body = inner(answer.body)
    if isinstance(body, Mapping) and "members" in body:
        return ok(f"The first page has {len(found)}, as objects.")
    return differs(f"The first page has {len(found)}, in another form than assumed, which the connector reads.")


@CHECKS("annex.segment_ids", "A segment tells which members were put into it", page="10.3", how="GET /segment/{id}")
def _ids(site: Site) -> Finding:
    if not site.segments:
        return cannot_tell(_NONE)
    static = next((each for each in site.segments if each.kind == "static"), site.segments[0])
    answer = site.get("segment", static.segment_id)
    if refusal := refused(answer):
        return refusal
    if SegmentWriting(site.service, Dialect()).members(static.segment_id) is None:
        return differs("It does not; what is written cannot be compared with what is there.")
    return ok("It does.")


@CHECKS(
    "annex.paging",
    "Lists say how many pages there are, as `pages` and `currentPage`, and end with 404",
    page="3",
    how="GET /segmentlist/all?page=1 and a page that is not there",
)
def _paging(site: Site) -> Finding:
    first, beyond = (
        site.get("segmentlist", site.service.segment_words.all, query={"page": page}) for page in (1, 9_999_999)
    )
    body = inner(first.body)
    notes = []
    if not isinstance(body, Mapping) or "pages" not in body:
        notes.append("`pages` is missing")
    if not isinstance(body, Mapping) or "currentPage" not in body:
        notes.append(
            "`currentPage` is called otherwise" if "current_page" in names_of([body]) else "`currentPage` is missing"
        )
    if beyond.status != 404:  # noqa: PLR2004 - HTTP's own number
        empty = beyond.ok and not _listed(beyond.body)
        if beyond.ok and not empty:
            return differs("A page that is not there shows segments; lists end at a page that repeats the one before.")
        notes.append("a page that is not there is empty" if empty else f"a page that is not there is {beyond.status}")
    return differs(f"The connector copes: {'; '.join(notes)}.") if notes else ok("They do.")


def _rows(site: Site) -> list[Mapping[str, Any]]:
    answer = site.get("segmentlist", site.service.segment_words.all, query={"page": 1})
    return _listed(answer.body) if answer.ok else []


def _listed(body: Any) -> list[Mapping[str, Any]]:
    content = inner(body)
    rows = content if isinstance(content, list) else []
    if isinstance(content, Mapping):
        rows = next((each for each in content.values() if isinstance(each, list)), [])
    return [row for row in rows if isinstance(row, Mapping)]


def _form(text: str) -> str:
    if len(text) == len("yyyy-MM-dd"):
        return "date"
    return "iso" if "T" in text else "datetime"
