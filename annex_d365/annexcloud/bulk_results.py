"""What became of each item of a bulk call, told from an answer whose shape is not documented (Annex page 5.7).

Only what is clear is told. Everything else is left open: the single call then says it. A refused item that is taken for
written is lost, so an item is done only if all that is said of it, in it and around it, is known to be no complaint.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from annex_d365.annexcloud.bulk_words import ID_NAMES, Verdict, complains, folded, harmless, judge, telling

#: What may be put around an item, or a part of it.
_INNER = ("Data", "userDetail", "error")
_WRAPPERS = frozenset(map(folded, _INNER))

_Entry = tuple[int | str, Mapping[str, Any]]


@dataclass(frozen=True)
class _Container:
    """A list, or a map by number or id, of objects.

    Attributes:
        entries: the objects, with their places.
        sections: the names around it.
    """

    entries: Sequence[_Entry]
    sections: frozenset[str]


class _Item(NamedTuple):
    fields: Mapping[str, Any]
    #: The same with those of what is wrapped in it; a name may come twice.
    said: Sequence[tuple[str, Any]]
    container: _Container


@dataclass
class _Parts:
    """What an answer consists of.

    Attributes:
        containers: at any depth, but not inside their objects.
        complain: whether what is around them may speak against some of their items.
    """

    containers: list[_Container] = field(default_factory=list)
    complain: bool = False


def verdicts(answer: Any, ids: Sequence[str], sent: Collection[str] = ()) -> list[Verdict | None]:
    """What became of the items with these ids, in their order; None for what the answer does not say clearly.

    Args:
        answer: decoded JSON: a list, a map by number or id, or an envelope around these.
        ids: of the items as they were sent, each once.
        sent: names of further fields that were sent: the answer may repeat them.
    """
    parts = _parts(answer, frozenset(ids))
    found, others = _found(parts.containers, ids)
    # Whom it speaks against is not known.
    complaint = parts.complain or not all(harmless(container.sections) for container in others)
    known = {folded(name) for name in sent}
    judged: dict[Any, Verdict | None] = {}
    told = [_judged(each, known, judged) if each else None for each in found]
    return [None if complaint and verdict and verdict.done else verdict for verdict in told]


def _judged(item: _Item, known: Collection[str], judged: dict[Any, Verdict | None]) -> Verdict | None:
    """As :func:`judge`; most items of an answer say the same of different members."""
    said = tuple((name, type(value), value) for name, value in item.said if name not in ID_NAMES or _nested(value))
    key = said, item.container.sections
    try:
        if key not in judged:
            judged[key] = judge(item.said, item.container.sections, known)
    except TypeError:  # a list or an object cannot be looked up
        return judge(item.said, item.container.sections, known)
    return judged[key]


def items(answer: Any, ids: Sequence[str]) -> list[Mapping[str, Any] | None]:
    """The parts of an answer that are about these ids, in their order; None where none or several may be meant.

    Args:
        answer: as for :func:`verdicts`.
        ids: as for :func:`verdicts`.
    """
    found, _ = _found(_parts(answer, frozenset(ids)).containers, ids)
    return [_unwrapped(each.fields) if each else None for each in found]


def _found(containers: Sequence[_Container], ids: Sequence[str]) -> tuple[list[_Item | None], list[_Container]]:
    """The items with these ids, where that is clear; and the containers of those of which it is not."""
    place = _places(containers, len(ids))
    index = {member_id: number for number, member_id in enumerate(ids)}
    found: list[list[_Item]] = [[] for _ in ids]
    nameless: list[tuple[int | str, _Item]] = []
    others = []
    in_order = True
    for container in containers:
        for key, fields in container.entries:
            item = _Item(fields, tuple(_fields(fields)), container)
            named = {str(value) for name, value in item.said if name in ID_NAMES and value not in (None, "")}
            owners = {index[each] for each in named if each in index}
            if len(owners) == 1:
                owner = owners.pop()
                found[owner].append(item)
                in_order = in_order and place.get(key, owner) == owner
            elif named:
                # Of another member, or of two: then it is not known, either, what the order of the others means.
                in_order = False
                others.append(container)
            else:
                nameless.append((key, item))
    numbers = {str(number) for number in range(len(ids) + 1)}
    for key, bare in nameless:
        by_place = {place[key]} if in_order and key in place else set()
        by_key = {index[str(key)]} if key in index else set()
        if len(by_place | by_key) == 1 and (by_place or key not in numbers):
            found[(by_place | by_key).pop()].append(bare)
        else:
            others.append(bare.container)
    return [each[0] if len(each) == 1 else None for each in found], others


def _parts(answer: Any, ids: Collection[str], sections: frozenset[str] = frozenset()) -> _Parts:
    parts = _Parts()
    entries: list[_Entry] = []
    loose: list[tuple[str, Any]] = []
    if isinstance(answer, list):
        entries = [(place, each) for place, each in enumerate(answer) if isinstance(each, Mapping)]
        loose = [("", each) for each in answer if not isinstance(each, Mapping)]
    elif isinstance(answer, Mapping):
        objects = {key: each for key, each in answer.items() if isinstance(each, Mapping)}
        keyed = {key for key in objects if key.isdecimal() or key in ids}
        # Beside these, others may be of other members, unless their name says something.
        entries = [(key, each) for key, each in objects.items() if key in keyed or (keyed and not telling(folded(key)))]
        inside = {key for key, _ in entries}
        loose = [(key, each) for key, each in answer.items() if key not in inside]
    for key, each in loose:
        name = folded(key)
        if key and isinstance(each, (list, Mapping)):
            deeper = _parts(each, ids, sections | {name})
            parts.containers += deeper.containers
            parts.complain = parts.complain or deeper.complain
        else:
            parts.complain = parts.complain or complains(name, each, sections)
    if entries:
        parts.containers.append(_Container(entries, sections))
    return parts


def _places(containers: Sequence[_Container], count: int) -> dict[int | str, int]:
    """Which item a place in a list or a number in a map stands for; empty if that cannot be told."""
    if len(containers) != 1:
        return {}
    keys = {key for key, _ in containers[0].entries}
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


def _fields(item: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The fields of an item and of what is wrapped in it; a name may come twice."""
    for name, value in item.items():
        called = folded(name)
        wrapped = called in _WRAPPERS and isinstance(value, dict)
        if wrapped:
            yield from _fields(value)
        if not wrapped or called == "error":  # that there is one says something, too
            yield called, value


def _nested(value: Any) -> bool:
    return isinstance(value, (list, dict))
