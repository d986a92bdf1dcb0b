"""The fields of a segment in requests and the form of their values (Annex page sections 10.1 and 10.2)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from annex_d365_sandbox.annexcloud import errors, fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from annex_d365_sandbox.annexcloud.models import Site
    from annex_d365_sandbox.annexcloud.switches import Switches

ADD, REMOVE, REPLACE = "add", "remove", "replace"
_MODES = (ADD, REMOVE, REPLACE)
#: What is kept of a segment's type and status; switches say by which words a site knows them.
STATIC, DYNAMIC = TYPES = ("static", "dynamic")
ACTIVE, INACTIVE = STATUSES = ("ACTIVE", "INACTIVE")
#: Forms of dates by their length; the rest is the long one.
_FORMS = {len("yyyy-MM-dd"): fields.day, len("yyyy-MM-dd HH:mm:ss"): fields.second}
_BY_NAME = {"day": fields.day, "second": fields.second, "instant": fields.instant}


@dataclass(frozen=True)
class GivenMembers:
    """What a request says of members: the ids ``given`` (None for nothing) and those of them that are ``known``."""

    given: list[str] | None
    known: list[str]
    mode: str
    #: whether they came as a comma-separated text
    as_text: bool = False

    def echo(self, member_ids: list[str] | None) -> str | list[str] | None:
        """Ids in the form in which the request gave them (ASSUMPTION)."""
        return ",".join(member_ids) if self.as_text and member_ids is not None else member_ids

    @property
    def unknown(self) -> list[str]:
        """The ids of nobody."""
        known = set(self.known)
        return [each for each in self.given or [] if each not in known]


def read_segment(body: Mapping[str, Any], switches: Switches) -> dict[str, Any]:
    """The fields of a create or an update, checked; dates stay as they were given.

    ASSUMPTION: the words of type and status, the forms of dates, and that empty texts and nulls are passed over.

    Raises:
        ApiError: 400, AC1004 without name or dates, AC1007 for what breaks its format or ends before it begins.
    """
    names = ("name", "fromDate", "toDate", "type", "status", "externalId", "externalName")
    fields.require(body, *names[:3])
    given = {name: fields.scalar(name, body[name]) for name in names if fields.given(body, name)}
    for name, kept, words in (
        ("status", STATUSES, switches.segment_statuses),
        ("type", TYPES, switches.segment_types),
    ):
        if name in given:
            known = {word.upper(): value for word, value in zip(words, kept, strict=False)}
            if given[name].upper() not in known:
                raise errors.invalid(name)
            given[name] = known[given[name].upper()]
    if switches.segment_dates != "any":
        for name in ("fromDate", "toDate"):
            if _form(given[name]) is not _BY_NAME[switches.segment_dates]:
                raise errors.invalid(name)
    if _moment("fromDate", given["fromDate"], "00:00:00") > _moment("toDate", given["toDate"], "23:59:59"):
        raise errors.invalid("toDate")
    return given


def shown(segment: Mapping[str, Any], switches: Switches) -> dict[str, Any]:
    """What replies say of a segment, in the site's words."""
    segment_id = segment["id"]
    return {
        "segmentId": segment_id if switches.segment_id_type == "number" else str(segment_id),
        "segmentName": segment["name"],
        "segmentType": _word(segment["type"], TYPES, switches.segment_types),
        "segmentFromDate": _written(segment["fromDate"], "00:00:00", switches.segment_dates),
        "segmentToDate": _written(segment["toDate"], "23:59:59", switches.segment_dates),
        "status": _word(segment["status"], STATUSES, switches.segment_statuses),
        "externalId": segment["externalId"],
        "externalName": segment["externalName"],
    }


def _word(value: str, kept: Sequence[str], words: Sequence[str]) -> str:
    """The site's word; the sandbox's own where the site has none."""
    return dict(zip(kept, words, strict=False)).get(value, value)


def _written(value: str, time: str, form: str) -> str:
    """A date as it was given, or in the one form that the site has."""
    if form == "any":
        return value
    moment = _moment("date", value, time)
    return {"day": moment[:10], "second": moment[:19].replace("T", " ")}.get(form, moment)


def read_members(body: Mapping[str, Any], site: Site) -> GivenMembers:
    """``member`` and ``memberUpdate``, by the site's switches.

    Raises:
        ApiError: 400 AC1007 for a form, a word or a number of ids that the site does not take; 404 AC1005 for an
            unknown id where those are refused.
    """
    mode = _mode(body, site)
    value = body.get("member")
    if value is None:
        return GivenMembers(None, [], mode)
    switches = site.switches
    as_text = not isinstance(value, list)
    if switches.segment_member_form not in ("any", "text" if as_text else "array"):
        raise errors.invalid("member")
    parts = value if isinstance(value, list) else [part.strip() for part in fields.scalar("member", value).split(",")]
    given = [each for part in parts if (each := fields.scalar("member", part))]
    if len(given) > switches.segment_members_limit:
        raise errors.invalid("member")
    with site.store.transaction() as connection:
        found = connection.execute(
            "SELECT id FROM annex_members WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(given),)
        ).fetchall()
    known = {row["id"] for row in found}
    members = GivenMembers(given, [each for each in given if each in known], mode, as_text)
    if members.unknown and mode != REMOVE and switches.unknown_segment_members == "refused":
        raise errors.no_data()
    return members


def _mode(body: Mapping[str, Any], site: Site) -> str:
    if not fields.given(body, "memberUpdate"):
        return site.switches.member_update_default
    modes = {name.upper(): mode for name, mode in zip(site.switches.member_update_words, _MODES, strict=False)}
    mode = modes.get(fields.scalar("memberUpdate", body["memberUpdate"]).upper())
    if mode is None:
        raise errors.invalid("memberUpdate")
    return mode


def _form(value: str) -> Callable[[str], str]:
    return _FORMS.get(len(value), fields.instant)


def _moment(name: str, value: str, time: str) -> str:
    """A stamp of any of the three forms; a day stands for its first or last second."""
    form = _form(value)
    try:
        return fields.second(f"{form(value)} {time}") if form is fields.day else form(value)
    except ValueError:
        raise errors.invalid(name) from None
