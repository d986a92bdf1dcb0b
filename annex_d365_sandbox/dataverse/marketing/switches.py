"""What the page leaves open about segments, and what a test wants to go wrong (Dataverse page 8)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from annex_d365_sandbox.switchboard import Switchboard


@dataclass
class Switches(Switchboard):
    """Each default is documented or the sandbox's assumption."""

    #: how long it takes to go live; about a minute in the user interface (page 8.3)
    going_live_seconds: int = 60
    #: how long it takes to stop (no figure known)
    stopping_seconds: int = 60
    #: how long a change of static members takes; it is asynchronous (page 8.3), no figure known
    member_update_seconds: int = 1
    #: how often a dynamic segment is evaluated whose row does not say it (no figure known)
    refresh_minutes: int = 60
    #: the reply of ``msdyncrm_FetchContactsByQuery``: ``value`` with contacts (what page 8.4 assumes), an object with
    #: ``Entities``, or a text with JSON
    fetch_reply: Literal["value", "entities", "text"] = "value"
    #: rows that can be reached by page numbers (0x8004430A, page 2.3; that it holds here is assumed); 0 is no limit
    most_paged_rows: int = 50_000
    #: whether ``page`` and ``count`` of the FetchXml must be in step with SKIP and TAKE (page 8.4 advises it)
    pages_in_step: bool = True
    #: Microsoft's state since May 2026: rows of outbound segments readable, member lists and actions gone (page 8.1)
    outbound_withdrawn: bool = False
    #: segments, by id or name, whose evaluation fails
    failing_segments: list[str] = field(default_factory=list)
    #: the HTTP status that members of a segment are answered with, by its id or name: 403, 500
    refused_segments: dict[str, int] = field(default_factory=dict)
    #: what actions answer whose reply no page shows: 204, or 200 with an empty object (page 8.3, 8.6)
    unshown_replies: Literal["no_content", "ok"] = "no_content"
    #: what ``getState`` of ``msdyncrm_SegmentMembersUpdate`` answers: 200 with one text, or 204 (page 8.3)
    state_reply: Literal["text", "no_content"] = "text"
    #: what ids of nobody do in changes of static members: an older edition says that the request is rejected (page 8.3)
    unknown_member_ids: Literal["ignored", "refused"] = "ignored"
    #: what stands before ids in ``msdyncrm_segmentmemberids`` of replies: the legacy back end's prefix (page 8.3)
    member_id_prefix: Literal["", "crm"] = ""
    #: by which name a client writes the query of an outbound segment; the page has both (page 8.3)
    segment_query_member: Literal["any", "msdyncrm_segmentquery", "msdyncrm_query"] = "any"
    #: how keywords and date parts of the query language are written (page 8.5)
    query_keywords: Literal["any_case", "upper_case"] = "any_case"
    #: whose id ``SegmentId`` of the actions of journeys is: the segment's, its definition's (page 8.6)
    journey_segment_ids: Literal["either", "segment", "definition"] = "either"
    #: how ``msdynmkt_MembersList`` refuses a segment that is not live: in its reply of 200, or as HTTP 400 (page 8.6)
    not_live_members: Literal["in_body", "http"] = "in_body"
