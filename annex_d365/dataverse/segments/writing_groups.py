"""Static groups of a segment of real-time journeys (Dataverse page 8.6).

A group takes 200,000 members, a segment 10 groups. Nearly all segments need one group, and how far one will grow
nobody knows when it is made; so groups are opened one after the other. Members are added to the open group while it has
room, then to another one with room, then to a new one. They are removed from every group of ours, so that nobody has to
remember who is where, a member that got into two groups included: up to 200,000 members that is one call.

Groups have GUIDs by their number, and are known again by these; groups that people made are not touched.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from annex_d365.dataverse.client import Row
from annex_d365.dataverse.segments.replies import ids_in
from annex_d365.dataverse.writes.operations import guid_for
from annex_d365.errors import RowError, ServiceError

MAX_GROUPS = 10
GROUP_MEMBERS = 200_000
#: Members of a group that are read at once.
PAGE = 5000

Entry = dict[str, Any]


def group_id(segment_id: str, number: int) -> str:
    """GUID of a segment's group of that number, from 1."""
    return guid_for("msdynmkt_group", f"{segment_id}#{number}")


def entry(segment_id: str, number: int) -> Entry:
    """A group as the definition has it."""
    return {
        "groupId": group_id(segment_id, number),
        "includeType": "Include",
        "name": f"Annex Cloud {number}",
        "inputType": "manualSelect",
    }


def encode(entries: Sequence[Entry]) -> str:
    """The column of the definition."""
    return msgspec.json.encode(entries).decode()


class Groups:
    """The groups of one segment. Safe for threads.

    Args:
        ask: the answer to ``ListGroupMembers``; takes all but the segment's id.
        segment_id: of the segment.
        entries: groups that its definition has.
        save: writes the column of the definition.
        new: whether they are known to be empty.
    """

    def __init__(
        self,
        ask: Callable[[Mapping[str, Any]], Row],
        segment_id: str,
        entries: Sequence[Entry],
        save: Callable[[str], None],
        *,
        new: bool = False,
    ) -> None:
        self._ask, self._segment_id, self._save = ask, segment_id, save
        self._entries = list(entries)
        self._lock = threading.Lock()
        there = {str(each.get("groupId", "")).lower() for each in entries}
        #: Ours, in their order.
        self.ids = [each for number in range(1, MAX_GROUPS + 1) if (each := group_id(segment_id, number)) in there]
        self._room = dict.fromkeys(self.ids, GROUP_MEMBERS) if new else {}
        self._full: set[str] = set()

    def place(self, count: int) -> str:
        """The group to add so many members to.

        Raises:
            RowError: all groups are full.
        """
        with self._lock:
            for each in reversed(self.ids):
                if self._has_room(each, count):
                    self._room[each] -= count
                    return each
            opened = self._open()
            self._room[opened] = GROUP_MEMBERS - count
            return opened

    def members(self) -> Iterator[str]:
        """Ids of the members of all groups; some may come twice."""
        for each in self.ids:
            page_no = 1
            while ids := self._page(each, page_no, PAGE):
                yield from ids
                page_no += 1

    def _has_room(self, group: str, count: int) -> bool:
        """Whether so many members fit in. The service is asked when what is known to be free is used up."""
        if group in self._full:
            return False
        if self._room.get(group, 0) < count:
            self._room[group] = self._measured(group, count)
        if not self._room[group]:
            self._full.add(group)
        return self._room[group] >= count

    def _measured(self, group: str, count: int) -> int:
        """So many places are free at least: half a group, a quarter, ... Where there is no n-th member is room."""
        free = max(count, GROUP_MEMBERS // 2)
        while self._page(group, GROUP_MEMBERS - free + 1, 1):
            if free == count:
                return 0
            free = max(count, free // 2)
        return free

    def _open(self) -> str:
        if len(self._entries) >= MAX_GROUPS:
            raise RowError(f"the segment's copy has {MAX_GROUPS} groups of {GROUP_MEMBERS} members, and takes no more")
        number = next(each for each in range(1, MAX_GROUPS + 1) if group_id(self._segment_id, each) not in self.ids)
        opened = entry(self._segment_id, number)
        self._save(encode([*self._entries, opened]))
        self._entries.append(opened)
        self.ids.append(opened["groupId"])
        return self.ids[-1]

    def _page(self, group: str, page_no: int, size: int) -> list[str]:
        reply = self._ask({"GroupId": group, "PageNo": page_no, "PageSize": size})
        return ids_in(reply, "Response", "entityIds", "EntityIds")


def decode(column: str | None) -> list[Entry]:
    """The groups that a definition has.

    Raises:
        ServiceError: they cannot be read.
    """
    try:
        return msgspec.json.decode(column, type=list[Entry]) if column else []
    except msgspec.DecodeError:
        raise ServiceError("The segment's list of groups could not be read.") from None
