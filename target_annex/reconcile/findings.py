"""What was found: counted in memory, told one by one on disk."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import click
import msgspec

from annex_d365.private_file import open_private
from target_annex.reconcile.people import Difference

#: Of the form of the file.
VERSION = 1

_encoder = msgspec.json.Encoder(decimal_format="number")


class Kind(Enum):
    """What is wrong with a contact, a member, or a segment."""

    #: A contact that should have a member, and has none.
    NO_MEMBER = "member missing"
    #: A member without a contact, where contacts are made of members.
    NO_CONTACT = "contact missing"
    #: A member without a contact, where none is made.
    EXTRA_MEMBER = "member extra"
    #: A contact that should have a member whom another contact has.
    EXTRA_CONTACT = "contact extra"
    #: A contact and its member.
    DIFFERING = "differing"
    #: A segment without a copy.
    NO_COPY = "copy missing"
    #: The copy of a segment that is not there.
    EXTRA_COPY = "copy extra"
    #: A segment and its copy have other members.
    MEMBERS = "members differing"


@dataclass(frozen=True)
class Finding:
    """One difference between the sides.

    Attributes:
        kind: what is wrong.
        keys: whom it is about: ``contact``, ``member``, ``segment``, ``copy``, ``name``, ``owner``.
        fields: of a pair.
        missing: members that a copy lacks.
        extra: members that a copy should not have.
    """

    kind: Kind
    keys: Mapping[str, str] = field(repr=False)
    fields: Sequence[Difference] = ()
    missing: Sequence[str] = field(default=(), repr=False)
    extra: Sequence[str] = field(default=(), repr=False)


class Findings:
    """All that was found in one part of the work, ``contacts`` or ``segments``.

    Args:
        what: the part.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.kinds: Counter[Kind] = Counter()
        #: By field and owner, how often a field differs.
        self.fields: Counter[tuple[str, str, str]] = Counter()
        #: How many there are on either side, and of both.
        self.sizes: dict[str, int] = {}
        #: What could not be read, and so is not known.
        self.unread: list[str] = []
        #: What is not known for other reasons.
        self.notes: list[str] = []
        self._file: IO[bytes] = TemporaryFile()  # noqa: SIM115 - closed by `close`

    def add(self, finding: Finding) -> None:
        """Take note."""
        self.kinds[finding.kind] += 1
        self.fields.update((each.name, each.column, each.owner) for each in finding.fields)
        self._file.seek(0, os.SEEK_END)
        self._file.write(_encoder.encode(finding) + b"\n")

    def __iter__(self) -> Iterator[Finding]:
        self._file.seek(0)
        for line in self._file:
            yield msgspec.json.decode(line, type=Finding)

    @property
    def total(self) -> int:
        """How many differences there are."""
        return self.kinds.total()

    def close(self) -> None:
        """Forget all."""
        self._file.close()


def write_json(path: Path, parts: Sequence[Findings], *, show_values: bool) -> None:
    """Write all that was found into a file that only its owner may read.

    ``{"version", "compared_at", "equal", "unread": [...], "contacts": {"sizes", "counts", "fields", "items"},
    "segments": {...}}``; an item has ``kind``, keys, and ``fields`` or ``missing`` and ``extra``.

    Args:
        path: of the file; one that is there is replaced.
        parts: contacts, segments.
        show_values: whether the values of differing fields are told.

    Raises:
        click.ClickException: the file cannot be written.
    """
    head = {
        "version": VERSION,
        "compared_at": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "equal": not any(part.total for part in parts),
        "unread": [each for part in parts for each in part.unread],
        "notes": [each for part in parts for each in part.notes],
    }
    try:
        with os.fdopen(open_private(path, os.O_WRONLY | os.O_TRUNC), "wb") as file:
            file.write(_encoder.encode(head)[:-1])
            for part in parts:
                counts = {kind.value: count for kind, count in part.kinds.items()}
                fields = [
                    {"name": name, "column": column, "owner": owner, "count": count}
                    for (name, column, owner), count in sorted(part.fields.items())
                ]
                told = _encoder.encode({"sizes": part.sizes, "counts": counts, "fields": fields})
                file.write(b',\n"' + part.what.encode() + b'": ' + told[:-1] + b', "items": [')
                for number, finding in enumerate(part):
                    file.write(b",\n" if number else b"\n")
                    file.write(_encoder.encode(_item(finding, show_values=show_values)))
                file.write(b"\n]}")
            file.write(b"}\n")
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written ({error.strerror}).") from None


def _item(finding: Finding, *, show_values: bool) -> dict[str, Any]:
    item: dict[str, Any] = {"kind": finding.kind.value, **finding.keys}
    if finding.fields:
        hidden = () if show_values else ("d365", "annex_cloud")
        told = [msgspec.to_builtins(each) for each in finding.fields]
        item["fields"] = [{name: value for name, value in each.items() if name not in hidden} for each in told]
    if finding.kind is Kind.MEMBERS:
        item |= {"missing": finding.missing, "extra": finding.extra}
    return item
