"""The ids of the segments that were sent: what tells that one is gone. In the state, or in a file."""

from __future__ import annotations

import base64
import logging
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from tap_d365.snapshot import Snapshot

logger = logging.getLogger(__name__)

#: So many ids are kept in the state, at about 22 characters each.
MAX_IDS_IN_STATE = 5000
_BYTES = 16


class KnownSegments(Protocol):
    """Ids of segments that the target may have."""

    def add(self, keys: Iterable[str]) -> Mapping[str, Any]:
        """They will be sent; what goes into the state before."""

    def gone(self, present: Collection[str]) -> Iterator[str]:
        """Known ones that are not ``present``; their deletion will be sent."""

    def finish(self) -> Mapping[str, Any]:
        """All was sent; what goes into the state."""


class InState:
    """In the state, packed.

    Args:
        state: what :meth:`finish` of the run before has returned.
    """

    def __init__(self, state: Mapping[str, Any]) -> None:
        # Once there were too many, those that were not kept stay unknown.
        self._is_overfull = bool(state.get("overfull"))
        try:
            self._known = unpacked(state.get("known") or "")
        except (TypeError, ValueError):
            self._known = set()
            logger.warning("The ids of segments in the state cannot be read; deletions until now stay unseen.")

    def add(self, keys: Iterable[str]) -> Mapping[str, Any]:
        """They will be sent; what goes into the state before."""
        self._known.update(keys)
        return self._kept()

    def gone(self, present: Collection[str]) -> Iterator[str]:
        """Known ones that are not ``present``; their deletion will be sent."""
        gone = self._known.difference(present)
        self._known -= gone
        yield from sorted(gone)

    def finish(self) -> Mapping[str, Any]:
        """All was sent; what goes into the state."""
        kept = self._kept()
        if self._is_overfull:
            logger.warning(
                "More than %d segments: only with `snapshot_path` is it seen that one was deleted.", MAX_IDS_IN_STATE
            )
        return kept

    def _kept(self) -> Mapping[str, Any]:
        self._is_overfull |= len(self._known) > MAX_IDS_IN_STATE
        return {"overfull": True} if self._is_overfull else {"known": packed(self._known)}


class InFile:
    """At ``snapshot_path``; the state names the run whose ids they are.

    Args:
        snapshot: open.
        state: what :meth:`finish` of the run before has returned.
        wanted: ids of the segments that the run may send.
    """

    def __init__(self, snapshot: Snapshot, state: Mapping[str, Any], wanted: Iterable[str]) -> None:
        self._snapshot, token = snapshot, state.get("sweep")
        self._token = token if isinstance(token, str) else None
        if not snapshot.begin(self._token, completed=True):
            logger.warning("The file of segments does not belong to the state; deletions may stay unseen.")
        snapshot.begin_sweep()
        snapshot.add(wanted)

    def add(self, keys: Iterable[str]) -> Mapping[str, Any]:
        """They will be sent; what goes into the state before."""
        self._snapshot.add(keys)
        return {"sweep": self._token} if self._token else {}

    def gone(self, present: Collection[str]) -> Iterator[str]:
        """Known ones that are not ``present``; their deletion will be sent."""
        for keys in self._snapshot.missing():
            gone = [key for key in keys if key not in present]
            self._snapshot.remove(gone)
            yield from gone

    def finish(self) -> Mapping[str, Any]:
        """All was sent; what goes into the state."""
        token = uuid.uuid4().hex
        self._snapshot.end_sweep(token)
        self._snapshot.end_run(token)
        return {"sweep": token}


@contextmanager
def known_segments(
    snapshot: Snapshot | None, state: Mapping[str, Any], wanted: Iterable[str]
) -> Iterator[KnownSegments]:
    """The ids, in a file where there is one."""
    if snapshot is None:
        yield InState(state)
        return
    with snapshot:
        yield InFile(snapshot, state, wanted)


def packed(ids: Iterable[str]) -> str:
    """GUIDs as one text."""
    return base64.b64encode(b"".join(sorted(uuid.UUID(each).bytes for each in ids))).decode()


def unpacked(text: str) -> set[str]:
    """The inverse of :func:`packed`.

    Raises:
        TypeError: it is no text.
        ValueError: it is none of :func:`packed`.
    """
    kept = base64.b64decode(text, validate=True)
    return {str(uuid.UUID(bytes=kept[at : at + _BYTES])) for at in range(0, len(kept), _BYTES)}
