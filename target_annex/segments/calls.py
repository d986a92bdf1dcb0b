"""Calls that add and remove members: what a service refuses takes no other member with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from annex_d365.errors import RowError
from target_annex.dry_run import DryRun
from target_annex.segments.side import CopyGoneError, SegmentSide, UnknownMembersError

#: Stream of members, in the report of a dry run.
MEMBERS = "segment_members"
#: The code of rows whose member the service does not know.
UNKNOWN_MEMBER = "UNKNOWN_MEMBER"

_Call = Callable[[str, Sequence[str]], None]


class Calls:
    """Sends members to one side. Safe for threads, but for a dry run.

    Args:
        side: the service.
        dry_run: takes note instead.
    """

    def __init__(self, side: SegmentSide, dry_run: DryRun | None) -> None:
        self._side, self._dry_run = side, dry_run
        #: Most members per call.
        self.chunk = side.chunk

    def add(self, target: str, keys: Sequence[str], *, split: bool = True) -> dict[str, RowError]:
        """Add at most :attr:`chunk` members to a copy.

        Args:
            target: the copy.
            keys: of the members.
            split: whether what is refused is tried again in halves.

        Returns:
            Those that were refused.

        Raises:
            CopyGoneError: there is no such copy.
            ConnectorError: other than for members.
        """
        return self._send("add", self._side.add, target, keys, split=split)

    def remove(self, target: str, keys: Sequence[str], *, split: bool = True) -> dict[str, RowError]:
        """Remove at most :attr:`chunk` members from a copy; as :meth:`add`."""
        return self._send("remove", self._side.remove, target, keys, split=split)

    def _send(self, action: str, call: _Call, target: str, keys: Sequence[str], *, split: bool) -> dict[str, RowError]:
        if not self._dry_run:
            return _in_halves(call, target, keys, split=split)
        for key in keys:
            self._dry_run.add(MEMBERS, key, action=action, target=target)
        return {}


def unknown_member() -> RowError:
    """Why a row is rejected whose member the service does not know."""
    return RowError("the member is not known there", code=UNKNOWN_MEMBER)


def _in_halves(call: _Call, target: str, keys: Sequence[str], *, split: bool) -> dict[str, RowError]:
    try:
        call(target, keys)
    except CopyGoneError:
        raise
    except UnknownMembersError as error:
        return {key: unknown_member() for key in keys if key in error.members}
    except RowError as error:
        if len(keys) == 1 or not split:
            return dict.fromkeys(keys, error)
        middle = len(keys) // 2
        halves = (keys[:middle], keys[middle:])
        return {key: each for half in halves for key, each in _in_halves(call, target, half, split=True).items()}
    return {}
