"""What became of each item of a bulk call, told from an answer whose shape is not documented (Annex page 5.7).

Only what is clear is told. Everything else is left open: the single call then says it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from annex_d365.annexcloud.errors import status_of
from annex_d365.retry import SUCCESS

#: Where an item's member id may stand; compared without case and underscores.
_ID_NAMES = frozenset({"id", "userid", "memberid", "uid"})
#: What may be put around an item, or a part of it.
_INNER = ("Data", "userDetail", "error")
_DONE_WORDS = frozenset({"success", "successful", "succeeded", "ok", "done", "created", "updated", "true"})
#: `status` of an item may be that of the member (Annex page 5.1).
_MEMBER_WORDS = frozenset({"active", "inactive"})
_COMPLAINTS = ("errorMessage", "error", "errors")
#: Only a stored record has them (Annex page 5.1).
_STORED = ("createDate", "updateDate")

#: Anything else might be a sentence, which may quote the member.
_CODE = re.compile("[A-Z]{0,4}[0-9]{1,6}")

_Entry = tuple[int | str, Mapping[str, Any]]


@dataclass(frozen=True)
class Verdict:
    """What an item's result says: an HTTP status, and the service's code if it is a refusal that has one."""

    status: int
    code: str = ""

    @property
    def done(self) -> bool:
        """Whether the item was carried out."""
        return self.status in SUCCESS


def verdicts(answer: Any, ids: Sequence[str]) -> list[Verdict | None]:
    """What became of the items with these ids, in their order; None for what the answer does not say clearly.

    Args:
        answer: decoded JSON: a list, a map by number or id, or an envelope around these.
        ids: of the items as they were sent, each once.
    """
    return [None if item is None else _verdict(item) for item in items(answer, ids)]


def items(answer: Any, ids: Sequence[str]) -> list[Mapping[str, Any] | None]:
    """The parts of an answer that are about these ids, in their order; None where none or several may be meant.

    Args:
        answer: as for :func:`verdicts`.
        ids: as for :func:`verdicts`.
    """
    containers = list(_containers(answer, frozenset(ids)))
    place = _places(containers, len(ids))
    index = {member_id: number for number, member_id in enumerate(ids)}
    found: list[list[Mapping[str, Any]]] = [[] for _ in ids]
    nameless: list[_Entry] = []
    in_order = True
    for key, wrapped in chain.from_iterable(containers):
        item = _unwrapped(wrapped)
        named = _own_ids(item)
        owners = {index[each] for each in named if each in index}
        if len(owners) == 1:
            owner = owners.pop()
            found[owner].append(item)
            in_order = in_order and place.get(key, owner) == owner
        elif named:
            # Of another member, or of two: then it is not known, either, what the order of the others means.
            in_order = False
        else:
            nameless.append((key, item))
    numbers = {str(number) for number in range(len(ids) + 1)}
    for key, bare in nameless:
        by_place = {place[key]} if in_order and key in place else set()
        by_key = {index[str(key)]} if key in index else set()
        if len(by_place | by_key) == 1 and (by_place or key not in numbers):
            found[(by_place | by_key).pop()].append(bare)
    return [each[0] if len(each) == 1 else None for each in found]


def _containers(answer: Any, ids: frozenset[str]) -> Iterator[list[_Entry]]:
    """The lists and maps of objects in an answer, at any depth, but not inside their objects."""
    if isinstance(answer, list):
        entries: list[_Entry] = [(place, each) for place, each in enumerate(answer) if isinstance(each, Mapping)]
        if entries:
            yield entries
    elif isinstance(answer, Mapping):
        keyed: list[_Entry] = [
            (key, each) for key, each in answer.items() if isinstance(each, Mapping) and (key.isdecimal() or key in ids)
        ]
        if keyed:
            yield keyed
            return
        for each in answer.values():
            yield from _containers(each, ids)


def _places(containers: Sequence[Sequence[_Entry]], count: int) -> dict[int | str, int]:
    """Which item a place in a list or a number in a map stands for; empty if that cannot be told."""
    if len(containers) != 1:
        return {}
    keys = {key for key, _ in containers[0]}
    if all(isinstance(key, int) for key in keys):
        # A list that leaves some out does not say which.
        return {place: place for place in range(count)} if keys == set(range(count)) else {}
    # Some languages write a list that leaves some out as a map, and count from 0.
    from_zero, from_one = "0" in keys, str(count) in keys
    if from_zero == from_one:
        return {}
    return {str(number): place for place, number in enumerate(range(from_one, count + from_one))}


def _unwrapped(item: Mapping[str, Any]) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for name in _INNER:
        part = item.get(name)
        if isinstance(part, Mapping):
            inner.update(part)
    return {**inner, **item}


def _own_ids(item: Mapping[str, Any]) -> set[str]:
    return {
        str(value)
        for name, value in item.items()
        if name.replace("_", "").casefold() in _ID_NAMES and value is not None and value != ""
    }


def _verdict(item: Mapping[str, Any]) -> Verdict | None:
    statuses, words, code = set(), set(), ""
    for name in ("statusCode", "status", "errorCode", "success"):
        text = _text(item.get(name))
        if len(text) == 3 and text.isdecimal():  # noqa: PLR2004 - digits of an HTTP status
            statuses.add(int(text))
        elif name == "errorCode":
            code = "" if text == "0" else text.upper()
        elif text:
            words.add(text)
    failures = {status for status in statuses if not Verdict(status).done}
    if code:
        # As with a single call, an error may arrive with the status of a success.
        failures = failures or {status_of(code) or 0}
        clear = len(failures) == 1 and all(failures) and _CODE.fullmatch(code)
        return Verdict(failures.pop(), code) if clear else None
    if failures:
        agreed = statuses == failures and len(failures) == 1 and not words & _DONE_WORDS
        return Verdict(failures.pop()) if agreed else None
    if words - _DONE_WORDS - _MEMBER_WORDS or any(item.get(name) for name in _COMPLAINTS):
        return None
    sure = statuses or words & _DONE_WORDS or any(item.get(name) for name in _STORED)
    return Verdict(min(statuses, default=200)) if sure else None


def _text(value: Any) -> str:
    return "" if value is None or isinstance(value, (list, Mapping)) else str(value).strip().casefold()
