"""What Annex Cloud does at the words for adding and removing members.

They are not documented (Annex page 10.2), so each run looks.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Sequence
from http import HTTPStatus

from annex_d365.annexcloud.segment_writing import Definition, SegmentWriting
from annex_d365.errors import RowError, SettingError
from target_annex.segments.side import MembersLostError

logger = logging.getLogger(__name__)

SETTING = "segment_member_update"


class Proofs:
    """Looks once per run for each word. Safe for threads.

    Args:
        writing: to the site.
    """

    def __init__(self, writing: SegmentWriting) -> None:
        self._writing = writing
        self._lock = threading.Lock()
        self._added: dict[str, Collection[str]] = {}
        self._adds_taken = self._adds_proved = self._removals_proved = False
        self._members_told = True

    def refused(self, target: str, definition: Definition, error: RowError) -> None:
        """A call that adds was refused: is it for the word? Asked while the run has had no such call that was taken.

        Raises:
            SettingError: it is.
        """
        with self._lock:
            asked, self._adds_taken = self._adds_taken, True
        if asked or error.status != HTTPStatus.BAD_REQUEST or self._writing.takes_add_word(target, definition):
            return
        raise SettingError(SETTING, "Annex Cloud does not know the word for adding members; name its own one as `add`.")

    def added(self, target: str, definition: Definition, keys: Collection[str], present: Collection[str]) -> None:
        """Members were added: are those still there that were members before?

        Args:
            target: the segment.
            definition: of it.
            keys: of members that the service has taken.
            present: members from earlier runs, as far as is known.

        Raises:
            MembersLostError: they are not.
        """
        with self._lock:
            self._adds_taken = True
            first = self._added.setdefault(target, ()) if keys and not self._adds_proved else None
            if first is None:
                return
            if not first and not present:
                self._added[target] = keys
                return
            self._adds_proved = True
            self._added.clear()
        listed = self._writing.members(target)
        if listed is None:
            self.not_told(target)
        elif {*(first or present)}.isdisjoint(listed) and (first or self._replaces(target, definition, keys, present)):
            raise MembersLostError(
                f"Setting `{SETTING}`: Annex Cloud replaces the members of segment {target} instead of adding to them; "
                "name its own word for adding as `add`."
            )

    def removed(self, target: str, keys: Sequence[str]) -> None:
        """Members were removed: are they gone?

        Raises:
            MembersLostError: they are not.
        """
        with self._lock:
            if target in self._added:
                self._added[target] = {*self._added[target]}.difference(keys)
            proved, self._removals_proved = self._removals_proved, True
        if not proved and not set(keys).difference(self._writing.members(target) or ()):
            raise MembersLostError(
                f"Setting `{SETTING}`: Annex Cloud did not remove members from segment {target}; name its own word for "
                "it as `remove`."
            )

    def not_told(self, target: str) -> None:
        """A segment's members are not told: warn, once."""
        with self._lock:
            first, self._members_told = self._members_told, False
        if first:
            logger.warning(
                "Annex Cloud does not tell the members of segment %s: whether they add up is not sure, and without the "
                "ledger they are not known.",
                target,
            )

    def _replaces(self, target: str, definition: Definition, keys: Collection[str], present: Collection[str]) -> bool:
        """Members of earlier runs may have gone otherwise: does one more that is added drive out the last ones?"""
        try:
            self._writing.add(target, definition, [next(iter(present))])
        except RowError:
            return False
        return {*keys}.isdisjoint(self._writing.members(target) or ())
