"""Makes operations ready to be sent: each row once, by a key that an address can hold."""

from __future__ import annotations

import uuid
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace

from annex_d365.dataverse.query import portions
from annex_d365.dataverse.writes.addresses import addressable, condition, predicate
from annex_d365.dataverse.writes.definition import TableDefinition
from annex_d365.dataverse.writes.finder import Finder
from annex_d365.dataverse.writes.forms import key_members
from annex_d365.dataverse.writes.operations import AlternateKey, Guid, Key, Kind, Operation, guid_for


def deduplicated(
    operations: Sequence[Operation], definition: TableDefinition
) -> tuple[dict[Hashable, Operation], list[Hashable]]:
    """Operations by key, each key once, and the key of each operation given.

    Of two for the same row the last is kept. Where both update, or both upsert, it has the other's values that it does
    not have itself. Two targets of one row in a bulk message are refused (Dataverse page 5.3).
    """
    kept: dict[Hashable, Operation] = {}
    keys: list[Hashable] = []
    for operation in operations:
        # So that a lost reply can be repeated, a new row of which nobody knows the GUID gets one here.
        key = operation.key or Guid(str(uuid.uuid4()))
        identity = _identity(key)
        keys.append(identity)
        keyed = operation if operation.key else replace(operation, key=key)
        kept[identity] = _merged(kept.pop(identity, None), keyed, definition)
    return kept, keys


def reachable(
    operations: Mapping[Hashable, Operation], definition: TableDefinition, finder: Finder, executor: Executor
) -> dict[Hashable, Operation | None]:
    """Operations with keys that addresses can hold; None for one of a row that is not there.

    Some signs in keys do not work in addresses (Dataverse page 4); such a row is looked up by a query.
    """
    ready: dict[Hashable, Operation | None] = dict(operations)
    unfit = [
        (identity, operation, operation.key)
        for identity, operation in operations.items()
        # A new row is not addressed.
        if operation.kind is not Kind.CREATE
        and isinstance(operation.key, AlternateKey)
        and not addressable(operation.key)
    ]
    alike: dict[tuple[str, ...], list[AlternateKey]] = {}
    for _, _, key in unfit:
        alike.setdefault(tuple(key.values), []).append(key)
    together = [portion for keys in alike.values() for portion in portions(keys, condition)]
    found: dict[Hashable, str] = {}
    for keys, row_ids in zip(together, executor.map(finder.find_together, together), strict=True):
        found.update((_identity(key), row_id) for key, row_id in zip(keys, row_ids, strict=True))
    for identity, operation, key in unfit:
        ready[identity] = _by_guid(operation, key, found[_identity(key)], definition)
    return ready


def _by_guid(operation: Operation, key: AlternateKey, row_id: str, definition: TableDefinition) -> Operation | None:
    if operation.kind is not Kind.UPSERT:
        return replace(operation, key=Guid(row_id)) if row_id else None
    values = {**operation.values, **key_members(key)}
    if row_id:
        return replace(operation, key=Guid(row_id), values=values)
    guid = guid_for(definition.logical_name, predicate(key))
    return replace(operation, key=Guid(guid), values=values)


def _identity(key: Key) -> Hashable:
    return key.value.lower() if isinstance(key, Guid) else frozenset(key.values.items())


def _merged(earlier: Operation | None, last: Operation, definition: TableDefinition) -> Operation:
    if not earlier or earlier.kind is not last.kind or last.kind not in {Kind.UPDATE, Kind.UPSERT} or earlier.etag:
        return last
    # A lookup to several tables has a member for each.
    lookups = {
        f"{lookup.property}@odata.bind": column.name
        for column in definition.columns.values()
        for lookup in column.lookups.values()
    }
    newer = {lookups.get(name, name) for name in last.values}
    kept = {name: value for name, value in earlier.values.items() if lookups.get(name, name) not in newer}
    return replace(last, values={**kept, **last.values})
