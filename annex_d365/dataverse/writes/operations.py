"""What can be done to a row, and what became of it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from annex_d365.frozen import frozen

#: All deterministic GUIDs of this connector are made in it, so that two runs make the same ones.
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://annexcloud-d365.example/rows")


@frozen
class Guid:
    """A row by its primary key."""

    value: str


@dataclass(frozen=True)
class AlternateKey:
    """A row by an alternate key (Dataverse page 5.1).

    Attributes:
        values: of its columns; a lookup stands as ``_<column>_value`` with a :class:`Guid`. Texts, ``int``, ``bool``,
            ``Decimal``, ``date`` and ``datetime``, as :func:`annex_d365.dataverse.writes.alternate_key` makes them.
    """

    values: Mapping[str, Any]


Key = Guid | AlternateKey


@dataclass(frozen=True)
class Reference:
    """The value of a lookup: the row that it leads to.

    Attributes:
        key: of that row.
        table: its logical name; needed where the lookup leads to several tables.
    """

    key: Key
    table: str = ""


class Kind(Enum):
    """What is done to a row."""

    CREATE = "create"
    UPDATE = "update"
    UPSERT = "upsert"
    DELETE = "delete"


@frozen
class Operation:
    """One row to write.

    Attributes:
        kind: what to do.
        key: of the row; None only to create one of which nobody knows the GUID before.
        values: wire members, as :func:`annex_d365.dataverse.writes.encode` makes them. Those of the key's own columns
            are not sent twice.
        etag: the version that the row must have (update, delete); an update without it is for any version. Neither
            ever creates a row.
    """

    kind: Kind
    key: Key | None
    values: Mapping[str, Any] = field(default_factory=dict)
    etag: str | None = None

    def __post_init__(self) -> None:
        if self.key is None and self.kind is not Kind.CREATE:
            raise ValueError("only a new row has no key")
        if self.etag and self.kind not in {Kind.UPDATE, Kind.DELETE}:
            raise ValueError("a new row has no version")


class Effect(Enum):
    """What became of a row."""

    CREATED = "created"
    UPDATED = "updated"
    #: Created or updated; the service does not say which.
    UPSERTED = "upserted"
    DELETED = "deleted"
    #: To be created, but there already; left as it is.
    EXISTS = "exists"
    #: To be updated or deleted, but not there.
    MISSING = "missing"


@frozen
class Written:
    """What became of one row.

    Attributes:
        effect: what.
        id: its GUID, in lower case, where it is known; else "".
        in_doubt: whether an earlier sending of the same request, whose reply got lost, may have created the row that
            is there already, with these values.
    """

    effect: Effect
    id: str = ""
    in_doubt: bool = False


Way = Literal["auto", "bulk", "batch", "single"]


@dataclass(frozen=True)
class WriteOptions:
    """How a table is written.

    Attributes:
        bypass_business_logic: value of ``MSCRM.BypassBusinessLogicExecution``: ``CustomSync``, ``CustomAsync`` or both,
            comma separated; needs the privilege prvBypassCustomBusinessLogic (Dataverse page 2.1).
        suppress_flows: whether flows of Power Automate are not started.
        caller_object_id: Entra object id of the user in whose name rows are written.
        way: "auto" takes the fastest way that a table has; "bulk" tries the bulk messages even where metadata does
            not name them; "batch" and "single" keep to that.
        max_batch: most rows of one request.
    """

    bypass_business_logic: str = ""
    suppress_flows: bool = False
    caller_object_id: str = ""
    way: Way = "auto"
    max_batch: int = 1000


def guid_for(stream: str, key: str) -> str:
    """The GUID for a row that has none yet; the same for the same stream and key, in each run (UUID version 5)."""
    return str(uuid.uuid5(_NAMESPACE, f"{len(stream)}:{stream}{key}"))
