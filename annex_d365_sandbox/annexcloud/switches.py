"""What the documents leave open or a site may configure, as switches that tests turn (Annex page section 15.3)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints


@dataclass
class Switches:
    """Each default is the sandbox's assumption. Setting an unknown name or a wrong value raises ``ValueError``."""

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
    page_size: int = 25
    #: the name of the current page's number
    paging_key: Literal["currentPage", "current_page"] = "currentPage"
    #: whether replies say how many pages there are
    page_count: bool = True
    #: what a page after the last is: 404, 400, or an empty one
    page_beyond: Literal["not_found", "bad_request", "empty"] = "not_found"

    # Requests

    #: whether a GET whose signed identifier is undocumented must sign what the sandbox assumes
    strict_hmac: bool = True
    #: endpoints that this site has no right to, as ``POST /bulkpostusers``, ``GET /segment/{segment_id}``
    refused_endpoints: tuple[str, ...] = ()
    #: how it is told: as forbidden, or as if the route were not there
    refusal_status: Literal[403, 404] = 404
    #: a bulk answer as an array, as a numbered map, or in the form of its request
    bulk_form: Literal["request", "array", "map"] = "request"
    #: items that a bulk call may have when it writes; 100 are recommended
    bulk_writes_limit: int = 10_000
    #: items that a bulk call may have when it reads
    bulk_reads_limit: int = 100

    # Members

    #: whether the id in the path may be the member's e-mail address
    resolve_email: bool = False
    #: whether ``null`` in a PATCH empties the field or is passed over
    patch_null: Literal["ignored", "clears"] = "ignored"
    #: field that carries the opt-out date; ``""`` leaves it out
    opt_out_date_key: str = "optOutDate"
    #: keys of ``extendedAttribute`` that the site has defined; others are passed over
    extended_attributes: tuple[str, ...] = ()
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
    activity_order: Literal["newest", "oldest"] = "newest"
    #: whether a lone activity entry stands in a list
    lone_activity: Literal["list", "object"] = "list"
    #: ``pointStatus`` of a credit on hold
    hold_status: str = "Hold"
    #: fields of the tier's dates; ``""`` leaves one out
    tier_achieve_date_key: str = "tierAchieveDate"
    tier_expiration_date_key: str = "tierExpirationDate"

    # Segments

    #: in which form requests may give ``member``: comma-separated text, an array of ids
    segment_member_form: Literal["any", "text", "array"] = "any"
    #: the words of ``memberUpdate`` for add, remove, replace; a site that lacks the last modes has fewer
    member_update_words: tuple[str, ...] = ("ADD", "REMOVE", "REPLACE")
    #: what ``member`` does without ``memberUpdate``
    member_update_default: Literal["add", "replace"] = "add"
    #: ids that ``member`` may have in one call
    segment_members_limit: int = 100
    #: what ids of nobody do in ``member``
    unknown_segment_members: Literal["skipped", "refused"] = "skipped"
    #: members of ``/eligiblesegment`` as ``members`` (objects) or ``userId`` (ids)
    eligible_members: Literal["objects", "ids"] = "objects"

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _HINTS:
            raise ValueError(f"unknown switch: {name}")
        super().__setattr__(name, _checked(name, _HINTS[name], value))

    def restore(self) -> None:
        """Set every switch to its default."""
        for field in fields(self):
            setattr(self, field.name, field.default)


def _checked(name: str, hint: Any, value: Any) -> Any:
    """``value`` as its switch keeps it; a JSON array becomes a tuple."""
    if get_origin(hint) is Literal:
        fits = value in get_args(hint) and not isinstance(value, bool)
    elif get_origin(hint) is tuple:
        fits = isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value)
        value = tuple(value) if fits else value
    elif hint is int:
        fits = isinstance(value, int) and not isinstance(value, bool) and value > 0
    else:
        fits = isinstance(value, hint)
    if not fits:
        raise ValueError(f"wrong value for the switch {name}")
    return value


_HINTS = get_type_hints(Switches)
