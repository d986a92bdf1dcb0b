"""Literals of a filter as the values that SQLite holds, with OData's rules of which type fits which column."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from odata_query import ast

from annex_d365_sandbox.dataverse import errors, schema, values
from annex_d365_sandbox.dataverse.schema import Attribute

_EDM: dict[type, str] = {
    ast.String: "Edm.String",
    ast.Integer: "Edm.Int32",
    ast.Float: "Edm.Decimal",
    ast.Boolean: "Edm.Boolean",
    ast.GUID: "Edm.Guid",
    ast.Date: "Edm.Date",
    ast.DateTime: "Edm.DateTimeOffset",
    ast.Time: "Edm.TimeOfDay",
    ast.Duration: "Edm.Duration",
}
OPERATORS: dict[type, tuple[str, str]] = {
    ast.Eq: ("IS", "Equal"),
    ast.NotEq: ("IS NOT", "NotEqual"),
    ast.Gt: (">", "GreaterThan"),
    ast.GtE: (">=", "GreaterThanOrEqual"),
    ast.Lt: ("<", "LessThan"),
    ast.LtE: ("<=", "LessThanOrEqual"),
}
#: Literals that may stand beside a column of an Edm type.
_FITS: dict[str, tuple[type, ...]] = {
    "Edm.String": (ast.String,),
    "Edm.Int32": (ast.Integer, ast.Float),
    "Edm.Int64": (ast.Integer, ast.Float),
    "Edm.Decimal": (ast.Integer, ast.Float),
    "Edm.Double": (ast.Integer, ast.Float),
    "Edm.Boolean": (ast.Boolean,),
    "Edm.Guid": (ast.GUID,),
    "Edm.Date": (ast.Date,),
    "Edm.DateTimeOffset": (ast.DateTime, ast.Date),
}


def mismatch(left: str, right: str, operator: type) -> errors.DataverseError:
    """Two sides of a comparison that cannot be compared."""
    return errors.bad_query(
        "A binary operator with incompatible types was detected. Found operand types"
        f" '{left}' and '{right}' for operator kind '{OPERATORS[operator][1]}'."
    )


def is_literal(node: Any) -> bool:
    """Whether the node is a value."""
    return type(node) in _EDM


def held(attribute: Attribute, node: Any, operator: type) -> Any:
    """A literal as SQLite holds values of the column. Raises ``DataverseError`` if it is of another type."""
    edm = attribute.kind.edm
    if type(node) not in _FITS.get(edm, ()):
        raise mismatch(edm, _EDM.get(type(node), "Edm.Untyped"), operator)
    return convert(attribute, str(node.val))


def convert(attribute: Attribute, text: str) -> Any:
    """The text of a literal as SQLite holds values of the column. Raises ``DataverseError``."""
    try:
        return _convert(attribute, text)
    except (ValueError, ArithmeticError) as error:
        raise errors.bad_query(f"The value '{text}' is not a valid '{attribute.kind.edm}'.") from error


def _convert(attribute: Attribute, text: str) -> Any:
    if attribute.kind in schema.SCALED:
        return _number(Decimal(text).scaleb(attribute.precision))
    reader = _READERS.get(attribute.kind.edm)
    return reader(text) if reader else text


def _number(number: Decimal) -> int | float:
    """SQLite compares whole numbers with fractions exactly; whole numbers beyond 64 bits only as fractions."""
    whole = number == number.to_integral_value() and abs(number) < 2**63
    return int(number) if whole else float(number)


_READERS: dict[str, Callable[[str], Any]] = {
    "Edm.Boolean": lambda text: int(text.lower() in ("true", "1")),
    "Edm.Guid": lambda text: text.lower().strip("{}"),
    "Edm.Date": lambda text: values.moment(text)[:10],
    "Edm.DateTimeOffset": values.moment,
    "Edm.Int32": lambda text: _number(Decimal(text)),
    "Edm.Int64": lambda text: _number(Decimal(text)),
    "Edm.Double": lambda text: _number(Decimal(text)),
}
