"""The words of a site about segments, none of which is documented (Annex pages 10.1, 10.5)."""

from __future__ import annotations

from dataclasses import dataclass

STATIC, DYNAMIC, OTHER = "static", "dynamic", "other"
ACTIVE, INACTIVE = "active", "inactive"


@dataclass(frozen=True)
class SegmentWords:
    """What the site says for what our streams say in words of their own; ASSUMPTIONS, unless the settings say more.

    Attributes:
        all: ends the address of the list of all segments.
        static: type of a segment whose members are listed one by one.
        dynamic: type of a segment with rules.
        active: status of a segment that is in use.
        inactive: status of one that is not.
    """

    all: str = "all"
    static: str = "static"
    dynamic: str = "dynamic"
    active: str = "ACTIVE"
    inactive: str = "INACTIVE"

    def kind(self, word: str | None) -> str | None:
        """Static, dynamic or other; None for no word."""
        if not word:
            return None
        ours = {STATIC: STATIC, DYNAMIC: DYNAMIC, self.static.casefold(): STATIC, self.dynamic.casefold(): DYNAMIC}
        return ours.get(word.casefold(), OTHER)

    def status(self, word: str | None) -> str | None:
        """Active or inactive; the word itself, in lower case, if it is neither."""
        if not word:
            return None
        ours = {self.active.casefold(): ACTIVE, self.inactive.casefold(): INACTIVE}
        return ours.get(word.casefold(), word.casefold())
