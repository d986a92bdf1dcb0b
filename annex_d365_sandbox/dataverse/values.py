"""Values of columns: from a payload into SQLite, and from SQLite onto the wire (Dataverse page 2.5).

SQLite holds moments as ``2023-04-07T21:59:01`` (UTC, no zone, so that text order is time order whatever the precision
of a literal), decimals and money as whole numbers scaled by the column's precision (so that none loses a digit).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

import msgspec

from annex_d365_sandbox.dataverse import errors, schema
from annex_d365_sandbox.dataverse.schema import Attribute, Table

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d)(?::(\d\d)(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?", re.IGNORECASE)
_EARLIEST = "1753-01-01"
#: The most values of a multi-select choice (Dataverse page 2.5); which code refuses more is an assumption.
MAX_CHOICES = 150


def moment(text: str) -> str:
    """An OData date or moment in the form that SQLite holds; a time without zone is UTC. Raises ``ValueError``."""
    if not (match := _MOMENT.fullmatch(text)):
        raise ValueError(text)
    day, clock, seconds, fraction, zone = match.groups()
    at = datetime.fromisoformat(f"{day}T{clock or '00:00'}:{seconds or '00'}")
    if zone and zone.upper() != "Z":
        sign = -1 if zone[0] == "-" else 1
        at -= sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
    return at.isoformat() + (fraction or "").rstrip("0").rstrip(".")


def stamp(at: datetime) -> str:
    """A moment as SQLite holds it, to the second like Dataverse."""
    return at.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")


def scaled(attribute: Attribute, number: Decimal) -> int:
    """A decimal as the whole number that SQLite holds; more digits than the column's precision are rounded."""
    return int(number.scaleb(attribute.precision).to_integral_value())


def _mismatch(table: Table, attribute: Attribute) -> errors.DataverseError:
    return errors.bad_payload(
        table,
        f"Cannot convert a value of property '{attribute.property_name}' to the expected type '{attribute.kind.edm}'.",
    )


def _text(attribute: Attribute, value: Any) -> str | None:
    if not isinstance(value, str):
        raise TypeError
    if len(value) > attribute.max_length:
        raise errors.bad_value(
            "0x80044331",
            f"A validation error occurred. The length of the '{attribute.name}' attribute of the entity exceeded the"
            f" maximum allowed length of '{attribute.max_length}'.",
        )
    return value or None  # Dataverse keeps no empty text


def _check_range(attribute: Attribute, number: Decimal) -> None:
    low, high = attribute.minimum, attribute.maximum
    if (low is not None and number < low) or (high is not None and number > high):
        code = "0x8004432f" if attribute.kind in schema.WHOLE else "0x80044330"
        raise errors.bad_value(
            code, f"A validation error occurred. The value of '{attribute.name}' is outside the valid range."
        )


def _whole(attribute: Attribute, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    _check_range(attribute, Decimal(value))
    return value


def _number(attribute: Attribute, value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise TypeError
    number = Decimal(str(value))
    _check_range(attribute, number)
    return scaled(attribute, number) if attribute.kind in schema.SCALED else float(value)


def _boolean(_attribute: Attribute, value: Any) -> int:
    if not isinstance(value, bool):
        raise TypeError
    return int(value)


def _unknown_option(attribute: Attribute, value: object) -> errors.DataverseError:
    return errors.bad_value(
        "0x8004431A",
        f"A validation error occurred. The value {value} of '{attribute.name}' on record of type is outside the valid"
        " range. Accepted Values: " + ",".join(str(option.value) for option in attribute.options),
    )


def _choice(attribute: Attribute, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    if not attribute.option(value):
        raise _unknown_option(attribute, value)
    return value


def _choices(attribute: Attribute, value: Any) -> str | None:
    if not isinstance(value, str):
        raise TypeError
    numbers = sorted({int(part) for part in value.split(",")} if value else ())
    if len(numbers) > MAX_CHOICES:
        raise errors.bad_value(
            "0x8004431A", f"A validation error occurred. '{attribute.name}' takes {MAX_CHOICES} choices at most."
        )
    for number in numbers:
        if not attribute.option(number):
            raise _unknown_option(attribute, number)
    return ",".join(map(str, numbers)) or None


def _guid(_attribute: Attribute, value: Any) -> str:
    return str(UUID(value))


def _moment(_attribute: Attribute, value: Any) -> str:
    result = moment(value)[:19]
    if result < _EARLIEST:
        raise ValueError(value)
    return result


def _date(_attribute: Attribute, value: Any) -> str:
    result = date.fromisoformat(value).isoformat()
    if result != value or result < _EARLIEST:  # newer Pythons read more forms than OData has
        raise ValueError(value)
    return result


_PARSERS: dict[schema.Kind, Callable[[Attribute, Any], Any]] = {
    schema.STRING: _text,
    schema.MEMO: _text,
    schema.INTEGER: _whole,
    schema.BIGINT: _whole,
    schema.DECIMAL: _number,
    schema.MONEY: _number,
    schema.DOUBLE: _number,
    schema.BOOLEAN: _boolean,
    schema.PICKLIST: _choice,
    schema.STATE: _choice,
    schema.STATUS: _choice,
    schema.MULTISELECT: _choices,
    schema.DATETIME: _moment,
    schema.DATE: _date,
    schema.ENTITY_NAME: _text,
    schema.GUID: _guid,
    schema.LOOKUP: _guid,
    schema.CUSTOMER: _guid,
    schema.OWNER: _guid,
}


def parse(table: Table, attribute: Attribute, value: Any) -> Any:
    """A payload's value as SQLite holds it.

    Raises:
        DataverseError: the value is of another type, too long, out of range or no option of the column.
    """
    if value is None:
        return None
    if not (parser := _PARSERS.get(attribute.kind)):
        raise _mismatch(table, attribute)
    try:
        return parser(attribute, value)
    except (TypeError, ValueError, AttributeError, InvalidOperation) as error:
        raise _mismatch(table, attribute) from error


def decimal(attribute: Attribute, value: int) -> Decimal:
    """The number behind a scaled one."""
    return Decimal(value).scaleb(-attribute.precision)


def _raw_decimal(attribute: Attribute) -> Callable[[int], msgspec.Raw]:
    digits = attribute.precision

    def encode(value: int) -> msgspec.Raw:
        return msgspec.Raw(f"{decimal(attribute, value):.{digits}f}".encode())

    return encode


def encoder(attribute: Attribute) -> Callable[[Any], Any] | None:
    """What turns the held value (not null) into the one on the wire; ``None`` where both are the same."""
    if attribute.kind is schema.BOOLEAN:
        return bool
    if attribute.kind is schema.DATETIME:
        return "{}Z".format
    if attribute.kind in schema.SCALED:
        return _raw_decimal(attribute)
    return None


def _label(attribute: Attribute, value: int) -> str:
    option = attribute.option(int(value))
    return option.label if option else str(value)


def formatted(attribute: Attribute, value: Any) -> str | None:
    """The FormattedValue annotation of a held value as an en-US user sees it; ``None`` where there is none."""
    if attribute.options:
        return "; ".join(_label(attribute, int(part)) for part in str(value).split(","))
    formatter = _FORMATTERS.get(attribute.kind)
    return formatter(attribute, value) if formatter else None


def _day(at: date) -> str:
    return f"{at.month}/{at.day}/{at.year}"


def _format_moment(_attribute: Attribute, value: str) -> str:
    at, noon = datetime.fromisoformat(value), 12
    return f"{_day(at)} {at.hour % noon or noon}:{at:%M} {'AM' if at.hour < noon else 'PM'}"


def _format_money(attribute: Attribute, value: int) -> str:
    amount = decimal(attribute, value)
    return f"{'-' if amount < 0 else ''}${abs(amount):,.2f}"


_FORMATTERS: dict[schema.Kind, Callable[[Attribute, Any], str]] = {
    schema.DATETIME: _format_moment,
    schema.DATE: lambda _, value: _day(date.fromisoformat(value)),
    schema.MONEY: _format_money,
    schema.DECIMAL: lambda a, value: f"{decimal(a, value):,.{a.precision}f}",
    schema.INTEGER: lambda _, value: f"{value:,}",
    schema.BIGINT: lambda _, value: f"{value:,}",
    schema.DOUBLE: lambda _, value: f"{value:,.2f}",
}
