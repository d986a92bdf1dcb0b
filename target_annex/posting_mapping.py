"""Columns of a stream to postings of points (Annex page 7)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from annex_d365.annexcloud.fields import MAX_DIGITS, plain
from annex_d365.annexcloud.points import CREDIT, DEBIT, MANUAL, Posting
from annex_d365.errors import RowError, SettingError
from annex_d365.singer.rows import Row
from target_annex.mapping import cell, key_columns, require, row_key

#: Makes an `orderId` for a row that has none, always the same one, by which the list of activities shows the posting.
_ORDER_IDS = uuid.UUID("6d0f3a52-0d43-5a55-9b6f-0f0b8d5a3c11")

#: What a source may mean by an amount. Python's numbers are more: NaN, 1_0, 1E+999999999.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)", re.ASCII)

_AMOUNTS = ("credit", "debit", "points")
_EXTRA = ("storeId", "source", "customId", "groupId", "rewardId")
_OTHERS = ("actionId", "reason", "orderId", *_EXTRA)


@dataclass(frozen=True)
class PostingMapping:
    """How rows of one stream become postings.

    Attributes:
        stream: its name.
        key: columns that tell rows apart.
        columns: field -> column, with ``id``, the member's.
    """

    stream: str
    key: Sequence[str]
    columns: Mapping[str, str]

    def row_key(self, row: Row) -> str:
        """The row's key as one text."""
        return row_key(self.key, row.record)

    def posting(self, row: Row) -> Posting:
        """What a row posts.

        Raises:
            RowError: it posts nothing, or not clearly.
        """
        values = {name: cell(plain, column, row.record) for name, column in self.columns.items()}
        if not values["id"]:
            raise RowError(f"column `{self.columns['id']}`, the member id, is empty")
        activity, amount = self._amount(values)
        order_id = values.get("orderId") or str(uuid.uuid5(_ORDER_IDS, f"{self.stream}\0{self.row_key(row)}"))
        extra = {name: values[name] for name in _EXTRA if values.get(name)}
        return Posting(
            member_id=values["id"],
            activity=activity,
            amount=amount,
            action_id=values.get("actionId") or MANUAL,
            reason=values.get("reason", ""),
            order_id=order_id,
            extra=extra,
        )

    def _amount(self, values: Mapping[str, str]) -> tuple[str, Decimal | None]:
        given = [(name, self._number(name, values[name])) for name in _AMOUNTS if values.get(name)]
        given = [(name, number) for name, number in given if number]
        if not given and not any(name in values for name in _AMOUNTS):
            return CREDIT, None  # what the action is worth (Annex page 7)
        if len(given) != 1:
            raise RowError("it has no points" if not given else "it has both a credit and a debit")
        ((name, number),) = given
        if name != "points" and number < 0:
            raise RowError(f"column `{self.columns[name]}` is negative")
        return (DEBIT if name == "debit" or number < 0 else CREDIT), number.copy_abs()

    def _number(self, name: str, value: str) -> Decimal:
        if not _NUMBER.fullmatch(value):
            raise RowError(f"column `{self.columns[name]}` is not a number")
        if sum(map(str.isdigit, value)) > MAX_DIGITS:
            raise RowError(f"column `{self.columns[name]}` is a number of more than {MAX_DIGITS} digits")
        return Decimal(value)


def posting_mapping(
    stream: str,
    entry: Mapping[str, Any],
    *,
    columns: Collection[str],
    key_properties: Sequence[str],
    member_id_column: str,
) -> PostingMapping:
    """The mapping of one stream.

    Args:
        stream: its name.
        entry: its part of the setting `streams`.
        columns: of its schema.
        key_properties: of its schema.
        member_id_column: the setting, for a stream whose `fields` do not name the member's ``id``.

    Raises:
        SettingError: a column that is mapped is not there, or a field is no field of a posting.
    """
    setting = f"streams.{stream}.fields"
    fields = {"id": member_id_column, **entry.get("fields", {})}
    for name, column in fields.items():
        if name not in {"id", *_AMOUNTS, *_OTHERS}:
            known = ", ".join(["id", *_AMOUNTS, *_OTHERS])
            raise SettingError(setting, f"`{name}` is no field of a posting of points (known: {known}).")
        require(column, columns, setting, stream)
    if not {"actionId", *_AMOUNTS} & set(fields):
        raise SettingError(setting, "name the column with the points: `credit`, `debit`, or `points` with its sign.")
    return PostingMapping(stream, key_columns(stream, entry, columns, key_properties), fields)
