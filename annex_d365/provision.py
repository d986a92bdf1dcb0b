"""What loyalty data needs in Dynamics 365: columns of the contact, and a table of activities."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from annex_d365.dataverse.writes.specs import ColumnSpec, KeySpec, TableSpec
from annex_d365.errors import SettingError
from annex_d365.fields import (
    ACTIVITY_COLUMNS,
    ACTIVITY_ID,
    CONTACT,
    CONTACT_COLUMNS,
    DEFAULT_PREFIX,
    MEMBER_ID,
    LoyaltyColumn,
)

#: Digits behind the point: how many points have is a setting of the loyalty programme (Annex page 7).
POINT_DIGITS = 5
#: How the prefix of a publisher is written in the names of columns.
_PREFIX = re.compile(r"[a-z][a-z0-9]{1,7}_")


def loyalty_tables(prefix: str = DEFAULT_PREFIX, solution: str = "") -> list[TableSpec]:
    """The tables that the presets fill.

    Args:
        prefix: of the publisher, with its underscore.
        solution: unique name of the solution that new things go to; "" for the default one.

    Raises:
        SettingError: no publisher has such a prefix.
    """
    if not _PREFIX.fullmatch(prefix):
        raise SettingError(
            "column_prefix", "must be 2 to 8 small letters or digits with an underscore behind them, like `cr0dd_`."
        )
    name, *others = ACTIVITY_COLUMNS
    return [
        TableSpec(
            CONTACT,
            columns=_specs(CONTACT_COLUMNS, prefix),
            keys=[_key(prefix, MEMBER_ID)],
            solution=solution,
        ),
        TableSpec(
            f"{prefix}LoyaltyActivity",
            label="Loyalty Activity",
            plural_label="Loyalty Activities",
            primary_name=_spec(name, prefix),
            columns=_specs(others, prefix),
            keys=[_key(prefix, ACTIVITY_ID)],
            solution=solution,
        ),
    ]


def _specs(columns: Iterable[LoyaltyColumn], prefix: str) -> Sequence[ColumnSpec]:
    return [_spec(column, prefix) for column in columns if column.type]


def _spec(column: LoyaltyColumn, prefix: str) -> ColumnSpec:
    name = _schema_name(column, prefix)
    return ColumnSpec(name, column.label, column.type, column.max_length, POINT_DIGITS, target=column.target)


def _key(prefix: str, column: LoyaltyColumn) -> KeySpec:
    return KeySpec(f"{_schema_name(column, prefix)}Key", column.label, (column.column(prefix),))


def _schema_name(column: LoyaltyColumn, prefix: str) -> str:
    """The column's name in the case of its label; the logical name is the same in lower case."""
    label = "".join(sign for sign in column.label.title() if sign.isalnum())
    return f"{prefix}{label if label.lower() == column.name else column.name}"
