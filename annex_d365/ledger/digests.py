"""Digests of fields: enough to see what has changed, too little to read a value.

Per field 12 bytes: 4 of a hash of its name, 8 of a hash of name and value; sorted, so that equal fields give equal
bytes. Should two names share a hash, their fields count as changed too often, never too rarely.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any, TypeVar

Text = TypeVar("Text", str, bytes, "str | bytes")

NAME_BYTES = 4
SIZE = 12


def digest(fields: Mapping[str, str | bytes], others: bytes = b"") -> bytes:
    """Digests of fields.

    Args:
        fields: name -> value as it is written; bytes are UTF-8.
        others: digests of fields that are not among them.

    Returns:
        12 bytes per field.
    """
    return b"".join(sorted([*_digested(fields), *_split(others)]))


def merged(old: bytes, new: bytes) -> bytes:
    """Digests after fields were written over others.

    Args:
        old: of the fields that were there.
        new: of the fields that were written.

    Returns:
        ``new``, and of ``old`` those whose names are not in ``new``.
    """
    if not old:
        return new
    names = {each[:NAME_BYTES] for each in _split(new)}
    return b"".join(sorted({*_split(new), *(each for each in _split(old) if each[:NAME_BYTES] not in names)}))


def without(digests: bytes, names: Collection[str]) -> bytes:
    """Digests but those of some fields.

    Args:
        digests: of the fields that were written.
        names: of the fields to forget.
    """
    if not names:
        return digests
    forgotten = {_name(name) for name in names}
    return b"".join(each for each in _split(digests) if each[:NAME_BYTES] not in forgotten)


def changed(fields: Mapping[str, Text], known: bytes) -> dict[str, Text]:
    """Fields that differ from what was written.

    Args:
        fields: name -> value as it would be written.
        known: digests of what was written.

    Returns:
        Those whose digest is not in ``known``, in their order.
    """
    if not known:
        return dict(fields)
    written = set(_split(known))
    digests = zip(fields.items(), _digested(fields), strict=True)
    return {name: value for (name, value), each in digests if each not in written}


def value_digest(name: str, digests: bytes) -> str:
    """What stands for the value of one field, as a text by which it can be found; empty if it was not written.

    Args:
        name: of the field.
        digests: of the fields that were written.
    """
    start = _name(name)
    return next((each.hex() for each in _split(digests) if each.startswith(start)), "")


def _digested(fields: Mapping[str, str | bytes]) -> Iterator[bytes]:
    for name, value in fields.items():
        start, begin = _begun(name)
        hashed = begin()
        hashed.update(value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value)
        yield start + hashed.digest()


@lru_cache(maxsize=4096)
def _begun(name: str) -> tuple[bytes, Callable[[], Any]]:
    """What is the same for all values of a field: how their digests begin, and the hash as far as its name goes."""
    return _name(name), blake2b(f"{name}\0".encode("utf-8", "surrogatepass"), digest_size=SIZE - NAME_BYTES).copy


@lru_cache(maxsize=4096)
def _name(name: str) -> bytes:
    return blake2b(name.encode("utf-8", "surrogatepass"), digest_size=NAME_BYTES).digest()


def _split(digests: bytes) -> list[bytes]:
    return [digests[start : start + SIZE] for start in range(0, len(digests), SIZE)]
