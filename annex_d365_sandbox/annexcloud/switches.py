"""What the documents leave open or a site may configure, as switches that tests turn (Annex page section 15.3)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints


@dataclass
class Switches:
    """Each default is the sandbox's assumption. Setting an unknown name or a wrong value raises ``ValueError``."""

    #: single-member answers as they are, or inside a top-level ``Data`` object (both are documented)
    envelope: Literal["flat", "Data"] = "flat"
    #: numbers of replies as JSON numbers or as strings
    numbers: Literal["number", "string"] = "number"
    #: what stands for a documented field without a value: ``null``, ``""``, or no field at all
    missing_values: Literal["null", "blank", "absent"] = "null"
    #: entries per page
    page_size: int = 25
    #: the name of the current page's number
    paging_key: Literal["currentPage", "current_page"] = "currentPage"
    #: HTTP status of a create
    create_status: Literal[200, 201] = 201
    #: whether the id in the path may be the member's e-mail address
    resolve_email: bool = False
    #: whether a GET whose signed identifier is undocumented must sign what the sandbox assumes
    strict_hmac: bool = True
    #: whether ``null`` in a PATCH empties the field or is passed over
    patch_null: Literal["ignored", "clears"] = "ignored"
    #: field that carries the opt-out date; ``""`` leaves it out
    opt_out_date_key: str = "optOutDate"
    #: keys of ``extendedAttribute`` that the site has defined; others are passed over
    extended_attributes: tuple[str, ...] = ()
    #: the site flag under which ``status`` is ignored in requests (section 5.1)
    activity_based_status: bool = False

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
