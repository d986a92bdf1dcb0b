"""Calls that add and remove members: what a service refuses takes no other member with it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial

from annex_d365.errors import RowError
from target_annex.dry_run import DryRun
from target_annex.segments.side import CopyGoneError, SegmentSide, UnknownMembersError
from target_annex.work import chunks

#: Stream of members, in the report of a dry run.
MEMBERS = "segment_members"
#: The code of rows whose member the service does not know.
UNKNOWN_MEMBER = "UNKNOWN_MEMBER"

_Call = Callable[[Sequence[str]], None]


class Calls:
    """Sends members to one side. Safe for threads, but for a dry run.

    Args:
        side: the service.
        dry_run: takes note instead.
    """

    def __init__(self, side: SegmentSide, dry_run: DryRun | None) -> None:
        self._side, self._dry_run = side, dry_run

    def add(
        self, target: str, keys: Sequence[str], present: Collection[str] = ()
    ) -> Iterator[tuple[Sequence[str], dict[str, RowError]]]:
        """Add members to a copy, in chunks.

        Args:
            target: the copy.
            keys: of the members.
            present: some that it has already.

        Yields:
            Each chunk, with those of it that were refused.

        Raises:
            CopyGoneError: there is no such copy.
            ConnectorError: other than for members.
        """
        return self._send("add", partial(self._side.add, target, present=present), target, keys)

    def remove(self, target: str, keys: Sequence[str]) -> Iterator[tuple[Sequence[str], dict[str, RowError]]]:
        """Remove members from a copy; as :meth:`add`."""
        return self._send("remove", partial(self._side.remove, target), target, keys)

    def _send(
        self, action: str, call: _Call, target: str, keys: Sequence[str]
    ) -> Iterator[tuple[Sequence[str], dict[str, RowError]]]:
        verdict: RowError | None = None
        for chunk in chunks(keys, self._side.chunk):
            if self._dry_run:
                for key in chunk:
                    self._dry_run.add(MEMBERS, key, action=action, target=target)
                yield chunk, {}
                continue
            refused = _in_halves(call, chunk, verdict)
            verdict = _verdict(chunk, refused)
            yield chunk, refused


def unknown_member() -> RowError:
    """Why a row is rejected whose member the service does not know."""
    return RowError("the member is not known there", code=UNKNOWN_MEMBER)


def _verdict(keys: Sequence[str], refused: dict[str, RowError]) -> RowError | None:
    """Where not one of several members is taken, for one reason, it may not be the members' fault."""
    reasons = {_reason(each): each for each in refused.values()}
    if len(refused) != len(keys) or len(keys) == 1 or len(reasons) > 1:
        return None
    (verdict,) = reasons.values()
    return None if verdict.code == UNKNOWN_MEMBER else verdict


def _reason(error: RowError) -> tuple[int, str]:
    return error.status, error.code


def _in_halves(call: _Call, keys: Sequence[str], verdict: RowError | None = None) -> dict[str, RowError]:
    """Send members; what is refused is sent again in halves, unless it is the verdict on all once more.

    Returns:
        Those that were refused.
    """
    try:
        call(keys)
    except CopyGoneError:
        raise
    except UnknownMembersError as error:
        return {key: unknown_member() for key in keys if key in error.members}
    except RowError as error:
        again = verdict is not None and _reason(error) == _reason(verdict)
        if len(keys) == 1 or (again and not _takes_any(call, keys)):
            return dict.fromkeys(keys, error)
        middle = len(keys) // 2
        return _in_halves(call, keys[:middle]) | _in_halves(call, keys[middle:])
    return {}


def _takes_any(call: _Call, keys: Sequence[str]) -> bool:
    """Whether one of three members is taken alone: nobody's ids may stand next to others'."""
    probes = dict.fromkeys((keys[0], keys[len(keys) // 2], keys[-1]))
    return any(not _in_halves(call, [each]) for each in probes)
