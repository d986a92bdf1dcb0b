"""What the page leaves open about segments, and what a test wants to go wrong (Dataverse page 8)."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints


@dataclass
class Switches:
    """Each default is documented or the sandbox's assumption. A wrong value raises ``ValueError``."""

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

    def __setattr__(self, name: str, value: Any) -> None:
        hint = _HINTS[name]
        kind = get_origin(hint) or hint
        fits = value in get_args(hint) if kind is Literal else type(value) is kind
        if not fits or (kind is int and value < 0):
            raise ValueError(f"wrong value for the switch marketing.{name}")
        super().__setattr__(name, value)

    def names(self) -> list[str]:
        """All switches."""
        return [each.name for each in fields(self)]


_HINTS = get_type_hints(Switches)
