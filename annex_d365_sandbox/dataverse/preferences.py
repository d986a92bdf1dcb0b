"""The ``Prefer`` header (Dataverse page 2.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_PREFERENCE = re.compile(r'([\w.\-]+)(?:\s*=\s*("[^"]*"|[^,;\s]+))?')
_SIZE = re.compile(r"0*[1-9][0-9]{0,8}")

FORMATTED = "OData.Community.Display.V1.FormattedValue"
LOOKUP_TABLE = "Microsoft.Dynamics.CRM.lookuplogicalname"
NAVIGATION = "Microsoft.Dynamics.CRM.associatednavigationproperty"
TOTAL = "Microsoft.Dynamics.CRM.totalrecordcount"
TOTAL_EXCEEDED = "Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded"
#: Preferences that are there or not -> the member of :class:`Preferences`.
_FLAGS = {
    ("return", "representation"): "representation",
    ("odata.track-changes", ""): "track_changes",
    ("odata.continue-on-error", ""): "continue_on_error",
}


@dataclass(frozen=True)
class Preferences:
    """What the client would like."""

    max_page_size: int | None = None
    annotations: tuple[str, ...] = ()
    representation: bool = False
    track_changes: bool = False
    continue_on_error: bool = False
    #: What goes into ``Preference-Applied``.
    applied: tuple[str, ...] = field(default=())

    def wants(self, annotation: str) -> bool:
        """Whether the annotation is asked for; patterns end in ``*``."""
        return any(
            wanted in ("*", annotation) or (wanted.endswith(".*") and annotation.startswith(wanted[:-1]))
            for wanted in self.annotations
        )

    @property
    def headers(self) -> dict[str, str]:
        """The reply's header."""
        return {"Preference-Applied": ", ".join(self.applied)} if self.applied else {}


def preferences(headers: Mapping[str, str]) -> Preferences:
    """The preferences of a request; unknown ones are ignored, as RFC 7240 wants it."""
    given: dict[str, Any] = {}
    applied: list[str] = []
    for name, quoted in _PREFERENCE.findall(headers.get("prefer", "")):
        value = quoted.strip('"')
        if name == "odata.maxpagesize" and _SIZE.fullmatch(value):
            given["max_page_size"] = int(value)
            applied.append(f"odata.maxpagesize={value}")
        elif name == "odata.include-annotations":
            given["annotations"] = tuple(part.strip() for part in value.split(","))
            applied.append(f'odata.include-annotations="{value}"')
        elif (flag := _FLAGS.get((name, value))) is not None:
            given[flag] = True
            applied.append(f"{name}={value}" if value else name)
    return Preferences(**given, applied=tuple(applied))
