"""What the documents leave open or a site may configure, as switches that tests turn (Annex page section 15.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from annex_d365_sandbox.switchboard import Positive, Switchboard


@dataclass
class Switches(Switchboard):
    """Each default is the sandbox's assumption."""

    # Replies

    #: single-object answers as they are, or inside a top-level ``Data`` object (both are documented)
    envelope: Literal["flat", "Data"] = "flat"
    #: numbers of replies as JSON numbers or as strings
    numbers: Literal["number", "string"] = "number"
    #: what stands for a documented field without a value: ``null``, ``""``, or no field at all
    missing_values: Literal["null", "blank", "absent"] = "null"
    #: HTTP status of a create
    create_status: Literal[200, 201] = 201
    #: entries per page
    page_size: Positive = 25
    #: the name of the current page's number
    paging_key: Literal["currentPage", "current_page"] = "currentPage"
    #: whether replies say how many pages there are
    page_count: bool = True
    #: what a page after the last is: 404, 400, or an empty one
    page_beyond: Literal["not_found", "bad_request", "empty"] = "not_found"
    #: the code of a value that breaks its format; the documented table is cut after AC1006 (section 3)
    invalid_code: str = "AC1007"
    #: the status of AC1005, documented as either; a page after the last has ``page_beyond`` (section 3)
    no_data_status: Literal[400, 404] = 404
    #: the status of AC1006 for a taken member id, segment name or external id (section 5.1, 10.1)
    duplicate_status: Literal[400, 409] = 409

    # Requests

    #: the longest life of a token: how far ``exp`` may lie ahead; 0 is no limit (section 2.2)
    max_token_seconds: int = 0
    #: whether a token that was used before is refused (section 2.2)
    refuse_replayed_tokens: bool = False
    #: what a GET signs whose signed identifier is undocumented: the path's identifier, or ``""`` (section 2.3)
    undocumented_get_signs: Literal["identifier", "empty"] = "identifier"
    #: whether a GET signs its identifier as it is or as it stands in the URL (section 2.3)
    signed_identifier: Literal["decoded", "encoded"] = "decoded"
    #: the escaping of the signed identifier: as it is (Jackson), ASCII only, or with slashes escaped too (PHP; 2.3)
    identifier_escaping: Literal["any", "plain", "ascii", "php"] = "any"

    #: whether a GET whose signed identifier is undocumented must sign what the sandbox assumes
    strict_hmac: bool = True
    #: endpoints that this site has no right to, as ``POST /bulkpostusers``, ``GET /segment/{segment_id}``
    refused_endpoints: tuple[str, ...] = ()
    #: how it is told: as forbidden, or as if the route were not there
    refusal_status: Literal[403, 404] = 404
    #: in which form a bulk call may give its items (section 5.7)
    bulk_request: Literal["any", "array", "map"] = "any"
    #: the HTTP status of a bulk write in which some item fails (section 5.7)
    bulk_partial_status: Literal[200, 207, 400] = 200
    #: a bulk answer as an array, as a numbered map, or in the form of its request
    bulk_form: Literal["request", "array", "map"] = "request"
    #: items that a bulk call may have when it writes; 100 are recommended
    bulk_writes_limit: Positive = 10_000
    #: items that a bulk call may have when it reads
    bulk_reads_limit: Positive = 100

    # Members

    #: whether the id in the path may be the member's e-mail address
    resolve_email: bool = False
    #: whether ``null`` in a PATCH empties the field or is passed over
    patch_null: Literal["ignored", "clears"] = "ignored"
    #: whether a PATCH leaves what it does not name, or clears it (section 5.3)
    patch: Literal["merges", "replaces"] = "merges"
    #: whether a create takes ``zipCode``, which is documented for changes only (section 5.1)
    zip_code_on_create: Literal["kept", "ignored"] = "kept"
    #: field that carries the opt-out date; ``""`` leaves it out
    opt_out_date_key: str = "optOutDate"
    #: keys of ``extendedAttribute`` that the site has defined
    extended_attributes: tuple[str, ...] = ()
    #: what other keys of ``extendedAttribute`` do: nothing, 400, or they are kept (section 5.1)
    unknown_attributes: Literal["ignored", "refused", "kept"] = "ignored"
    #: the answer of ``POST /users/search``: ``records`` and ``userDetail``, the same in ``Data``, a list (5.4)
    search_reply: Literal["records", "Data", "list"] = "records"
    #: what a search answers that finds nobody (section 5.4)
    search_of_nothing: Literal["not_found", "empty"] = "not_found"
    #: the site flag under which ``status`` is ignored in requests (section 5.1)
    activity_based_status: bool = False
    #: whether ``POST /userdelete`` waits for the daily batch
    deletion: Literal["batch", "at_once"] = "batch"

    # Points, activity, tiers

    #: whether a member who opted out can earn
    opted_out_earn: bool = False
    #: whether a debit may exceed the available points
    overdraft: bool = False
    #: the two documented names of one field of the balances
    total_spent_key: Literal["totalSpent", "totalSpend"] = "totalSpent"
    #: whether activity entries have an ``activityId``
    activity_id: bool = True
    #: the two names of the number of entries (section 6)
    activity_count_key: Literal["totalActivityCount", "activityCount"] = "totalActivityCount"
    #: how ``activity`` of an entry is written; the documents have both (section 6)
    activity_word: Literal["Credit", "CREDIT"] = "Credit"
    activity_order: Literal["newest", "oldest"] = "newest"
    #: whether a lone activity entry stands in a list
    lone_activity: Literal["list", "object"] = "list"
    #: ``pointStatus`` of a credit on hold
    hold_status: str = "Hold"
    #: fields of the tier's dates; ``""`` leaves one out
    tier_achieve_date_key: str = "tierAchieveDate"
    tier_expiration_date_key: str = "tierExpirationDate"
    #: ``eligible`` of a reward: ``YES``, ``true`` or ``1`` (section 9)
    reward_eligible: Literal["words", "booleans", "digits"] = "words"

    # Segments

    #: the words for the static and the dynamic type (section 10.1)
    segment_types: tuple[str, ...] = ("static", "dynamic")
    #: the words for an active and an inactive segment (section 10.1)
    segment_statuses: tuple[str, ...] = ("ACTIVE", "INACTIVE")
    #: the forms of dates that a request may have: ``yyyy-MM-dd``, with a time, or the ISO form (section 10.1)
    segment_dates: Literal["any", "day", "second", "instant"] = "any"
    #: whether ``segmentId`` is a text or a number (section 10.1)
    segment_id_type: Literal["string", "number"] = "string"
    #: whether two segments may not share a name (section 10.1)
    unique_segment_names: bool = True
    #: whether answers have ``member`` as it was given (section 10.1)
    segment_member_echo: Literal["received", "absent"] = "received"
    #: the words of ``/segmentlist/{status}`` for all, active, inactive (section 10.5)
    segment_list_words: tuple[str, ...] = ("all", "active", "inactive")
    #: the member of its answer that holds the segments (section 10.5)
    segment_list_key: str = "allSegmentDetails"

    #: in which form requests may give ``member``: comma-separated text, an array of ids
    segment_member_form: Literal["any", "text", "array"] = "any"
    #: the words of ``memberUpdate`` for add, remove, replace; a site that lacks the last modes has fewer
    member_update_words: tuple[str, ...] = ("ADD", "REMOVE", "REPLACE")
    #: what ``member`` does without ``memberUpdate``
    member_update_default: Literal["add", "replace"] = "add"
    #: ids that ``member`` may have in one call
    segment_members_limit: Positive = 100
    #: what ids of nobody do in ``member``
    unknown_segment_members: Literal["skipped", "refused"] = "skipped"
    #: members of ``/eligiblesegment`` as ``members`` (objects) or ``userId`` (ids)
    eligible_members: Literal["objects", "ids"] = "objects"
