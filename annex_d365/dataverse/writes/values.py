"""Values as the service takes them, by metadata (Dataverse page 2.5).

Reasons name the column, never the value.
"""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, Literal

from annex_d365.dataverse.writes.addresses import addressable, bind
from annex_d365.dataverse.writes.definition import ColumnDefinition, TableDefinition
from annex_d365.dataverse.writes.operations import AlternateKey, Guid, Reference

TooLong = Literal["reject", "cut"]

#: Most choices of one multi-select column.
MAX_CHOICES = 150
_FIRST_DAY = date(1753, 1, 1)
_USUAL = "2025-05-05T05:05:05Z"
_FRACTION = re.compile(r"\.\d+")
_OFFSET = re.compile(r"([T ].*[+-]\d\d):?(\d\d)?\Z")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
#: Numbers of so many digits are binary fractions, of which the last digits mean nothing.
_BINARY_DIGITS = 16
_TRUE, _FALSE = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0"})
#: Where metadata tells no limits.
_INTEGER_BITS = {"IntegerType": 32, "BigIntType": 64}
#: Types whose columns have so few values that these need not be converted more than once.
_FEW_VALUES = frozenset({"BooleanType", "PicklistType", "StateType", "StatusType"})
_MOST_REMEMBERED = 1000
#: Of texts in columns without a limit that need no closer look: any.
_USUAL_LENGTH = 2**31
#: Python's own exponents reach far beyond what any column holds, and writing them out takes for ever.
_MAX_DIGITS = 400


@dataclass(frozen=True)
class _Target:
    """The column that a value is for."""

    column: ColumnDefinition
    too_long: TooLong


def encode(definition: TableDefinition, column: str, value: Any, *, too_long: TooLong = "reject") -> dict[str, Any]:
    """One column's value as members of the body.

    Args:
        definition: of the table.
        column: logical name; a lookup also as ``_<name>_value``.
        value: of a record: texts, numbers, booleans, dates as texts or objects; choices by value or label, several as
            list; a lookup as GUID, or as :class:`Reference` where it leads to several tables. None clears.
        too_long: what to do with a text that is too long, or a ``Decimal`` with too many digits behind the point.

    Raises:
        ValueError: the column cannot have this value; says why, without it.
    """
    return encoder(definition, column, too_long=too_long)(value)


def encoder(
    definition: TableDefinition, column: str, *, too_long: TooLong = "reject"
) -> Callable[[Any], dict[str, Any]]:
    """:func:`encode` for the values of one column: what depends on the column alone is looked up once.

    What it returns may be returned again, and is not to be changed.

    Raises:
        ValueError: there is no such column.
    """
    found = definition.column(column)
    if found is None:
        raise ValueError(f"`{column}` is no column of {definition.logical_name}")
    if found.lookups:
        return lambda value: reference(definition, column, _as_reference(found, value))
    name, target = found.name, _Target(found, too_long)
    convert = _CONVERSIONS.get(found.type_name, _as_it_is)
    usual = _USUAL_LENGTH if found.max_length is None else found.max_length
    is_text = convert is _text

    def encoded(value: Any) -> dict[str, Any]:
        if is_text and type(value) is str and len(value) <= usual and value.isascii():
            return {name: value}
        return {name: None if value is None else convert(target, value)}

    return _remembered(encoded) if found.type_name in _FEW_VALUES else encoded


def _remembered(encoded: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    """The same for columns of few values, each of which is encoded once."""
    known: dict[Any, dict[str, Any]] = {}

    def remembered(value: Any) -> dict[str, Any]:
        kind = type(value), value  # 1 is equal to True
        try:
            return known[kind]
        except (KeyError, TypeError):  # the second: a list
            result = encoded(value)
        if len(known) < _MOST_REMEMBERED and not isinstance(value, list):
            known[kind] = result
        return result

    return remembered


def reference(definition: TableDefinition, column: str, target: Reference | None) -> dict[str, Any]:
    """A lookup's value as members of the body: the navigation property, bound (Dataverse page 5.1). None clears.

    Raises:
        ValueError: the column is no lookup, or does not lead to that table.
    """
    found = definition.column(column)
    if found is None or not found.lookups:
        raise ValueError(f"`{column}` is no lookup of {definition.logical_name}")
    if target is None:
        return {f"{next(iter(found.lookups.values())).property}@odata.bind": None}
    if not target.table and len(found.lookups) > 1:
        raise ValueError(f"`{found.name}` leads to several tables; name one of {', '.join(sorted(found.lookups))}")
    lookup = found.lookups.get(target.table) if target.table else next(iter(found.lookups.values()))
    if lookup is None:
        raise ValueError(f"`{found.name}` does not lead to that table, only to {', '.join(sorted(found.lookups))}")
    if not addressable(target.key):
        raise ValueError(f"`{found.name}` is a lookup by a key with a sign that no address can hold")
    return {f"{lookup.property}@odata.bind": bind(lookup.entity_set, target.key)}


def alternate_key(definition: TableDefinition, values: Mapping[str, Any]) -> AlternateKey:
    """The key with these values of a record, as the table has them; texts without blanks around them.

    Raises:
        ValueError: a value is missing, or is none that the column can have; says why, without it.
    """
    converted: dict[str, Any] = {}
    for name, given in values.items():
        column = definition.column(name)
        if column is None:
            raise ValueError(f"`{name}` is no column of {definition.logical_name}")
        value = given.strip() if isinstance(given, str) else given
        if value is None or value == "":
            raise ValueError(f"`{column.name}` is a part of the key and has no value")
        if column.lookups:
            converted[column.property] = Guid(_guid(_Target(column, "reject"), getattr(value, "value", value)))
        else:
            converted[column.name] = _key_value(column, value)
    return AlternateKey(converted)


def _key_value(column: ColumnDefinition, value: Any) -> Any:
    target = _Target(column, "reject")
    if column.type_name != "DateTimeType":
        return _converted(target, value)
    day = column.date_behavior == "DateOnly"
    return date.fromisoformat(_moment(target, value)) if day else _datetime(target, _moment(target, value))


def _as_reference(column: ColumnDefinition, value: Any) -> Reference | None:
    if value is None or isinstance(value, Reference):
        return value
    return Reference(
        value if isinstance(value, (Guid, AlternateKey)) else Guid(_guid(_Target(column, "reject"), value))
    )


def _converted(target: _Target, value: Any) -> Any:
    convert = _CONVERSIONS.get(target.column.type_name, _as_it_is)
    return convert(target, value)


def _refuse(target: _Target, reason: str) -> ValueError:
    return ValueError(f"`{target.column.name}` {reason}")


def _text(target: _Target, value: Any) -> str:
    if isinstance(value, bool):
        value = "true" if value else "false"
    elif isinstance(value, (int, float, Decimal)):
        value = str(value)
    if not isinstance(value, str):
        raise _refuse(target, "takes a text")
    limit = target.column.max_length
    if value.isascii() and (limit is None or len(value) <= limit):
        return value
    try:
        units = value.encode("utf-16-le")
    except UnicodeEncodeError:
        raise _refuse(target, "has a sign that is half of one") from None
    # ASSUMPTION: lengths are those of SQL Server's nvarchar, so that an emoji counts as two.
    if limit is None or len(units) <= 2 * limit:
        return value
    if target.too_long == "reject":
        raise _refuse(target, f"takes at most {limit} characters")
    return units[: 2 * limit].decode("utf-16-le", errors="ignore")


def _number(target: _Target, value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, str)):
        raise _refuse(target, "takes a number")
    try:
        written = value.strip() if isinstance(value, str) else str(value)
        # Python takes more for numbers than people do: 1_000, say.
        number = Decimal(written if not isinstance(value, str) or _NUMBER.fullmatch(written) else "")
    except InvalidOperation:
        raise _refuse(target, "takes a number") from None
    if not number.is_finite() or abs(number.adjusted()) > _MAX_DIGITS:
        raise _refuse(target, "takes a number of the usual size")
    return number


def _in_range(target: _Target, number: Decimal, lowest: Decimal | None, highest: Decimal | None) -> None:
    if (lowest is not None and number < lowest) or (highest is not None and number > highest):
        raise _refuse(target, f"takes a number from {lowest} to {highest}")


def _integer(target: _Target, value: Any) -> int:
    number, column = _number(target, value), target.column
    half = Decimal(2 ** (_INTEGER_BITS[column.type_name] - 1))
    lowest = -half if column.minimum is None else column.minimum
    highest = half - 1 if column.maximum is None else column.maximum
    _in_range(target, number, lowest, highest)
    if number != number.to_integral_value():
        raise _refuse(target, "takes a whole number")
    return int(number)


def _decimal(target: _Target, value: Any) -> Decimal:
    number, column = _number(target, value), target.column
    _in_range(target, number, column.minimum, column.maximum)
    if column.precision is None:
        return number
    rounded = _rounded(number, column.precision)
    if rounded != number and target.too_long == "reject" and not _is_binary(value):
        raise _refuse(target, f"takes at most {column.precision} digits behind the point")
    return number if rounded == number else rounded


def _is_binary(value: Any) -> bool:
    """Whether a number has been a binary fraction, also one that was read exactly from JSON."""
    return isinstance(value, float) or (isinstance(value, Decimal) and len(value.as_tuple().digits) >= _BINARY_DIGITS)


def _rounded(number: Decimal, digits: int) -> Decimal:
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    if -exponent <= digits:
        return number
    scaled = number.scaleb(digits).to_integral_value(ROUND_HALF_EVEN)
    return scaled.scaleb(-digits)


def _double(target: _Target, value: Any) -> float:
    number = _number(target, value)
    _in_range(target, number, target.column.minimum, target.column.maximum)
    converted = float(number)
    if math.isinf(converted):
        raise _refuse(target, "takes a number of the usual size")
    return converted


def _boolean(target: _Target, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float, Decimal)) and value in {0, 1}:
        value = int(value)
    word = str(value).strip().casefold() if isinstance(value, (str, int)) else ""
    if word in target.column.labels:
        return bool(target.column.labels[word])
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise _refuse(target, "takes yes or no")


def _choice(target: _Target, value: Any) -> int:
    column = target.column
    if isinstance(value, str) and value.strip().casefold() in column.labels:
        return column.labels[value.strip().casefold()]
    try:
        number = _number(target, value)
    except ValueError:
        number = None
    if number is None or number != number.to_integral_value() or (column.choices and int(number) not in column.choices):
        raise _refuse(target, "has no such choice")
    return int(number)


def _choices(target: _Target, value: Any) -> str | None:
    if isinstance(value, str):
        # A label may have a comma.
        value = [value] if value.strip().casefold() in target.column.labels else value.split(",")
    every = value if isinstance(value, (list, tuple, set)) else [value]
    # In order, as the service has them, so that equal choices are equal texts.
    chosen = sorted({_choice(target, each) for each in every if each is not None and each != ""})
    if len(chosen) > MAX_CHOICES:
        raise _refuse(target, f"takes at most {MAX_CHOICES} choices")
    return ",".join(map(str, chosen)) or None


def _moment(target: _Target, value: Any) -> str:
    """A date by its behaviour: a day, a moment in UTC, or a reading of a clock that is the same everywhere."""
    if shown := _usual_moment(target, value):
        return shown
    moment = value if isinstance(value, datetime) else _datetime(target, value)
    behavior = target.column.date_behavior
    if moment.tzinfo is None:  # the service takes a time without offset as UTC
        moment = moment.replace(tzinfo=timezone.utc)
    if behavior not in {"DateOnly", "TimeZoneIndependent"}:
        try:
            moment = moment.astimezone(timezone.utc)
        except OverflowError:
            raise _refuse(target, "takes a date of this calendar") from None
    if moment.date() < _FIRST_DAY:
        raise _refuse(target, f"takes no date before {_FIRST_DAY}")
    if behavior == "DateOnly":
        return moment.date().isoformat()
    # ASSUMPTION: seconds are the finest that is kept (all samples on the page have none).
    return moment.replace(tzinfo=None, microsecond=0).isoformat() + "Z"


def _usual_moment(target: _Target, value: Any) -> str:
    """The same for the form that services send, in a tenth of the time; empty for any other."""
    usual = isinstance(value, str) and len(value) == len(_USUAL) and value[-1] == "Z" and value[10] == "T"
    if target.column.date_behavior == "DateOnly":
        return _usual_day(value)
    if not usual:
        return ""
    try:
        moment = datetime.fromisoformat(value[:-1])
    except ValueError:
        return ""
    plain = moment.tzinfo is None and not moment.microsecond and moment.date() >= _FIRST_DAY
    return f"{moment.isoformat()}Z" if plain else ""


def _usual_day(value: Any) -> str:
    try:
        day = date.fromisoformat(value) if isinstance(value, str) and len(value) == len("2025-05-05") else None
    except ValueError:
        return ""
    return day.isoformat() if day and day >= _FIRST_DAY else ""


def _datetime(target: _Target, value: Any) -> datetime:
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=timezone.utc)
    if not isinstance(value, str):
        raise _refuse(target, "takes a date")
    # Python 3.10 reads neither Z, nor +0000, nor other than three or six digits of a second.
    written = _FRACTION.sub(lambda digits: digits[0][:7].ljust(7, "0"), value.strip())
    written = _OFFSET.sub(lambda offset: f"{offset[1]}:{offset[2] or '00'}", written)
    try:
        return datetime.fromisoformat(written[:-1] + "+00:00" if written[-1:] in {"Z", "z"} else written)
    except ValueError:
        raise _refuse(target, "takes a date") from None


def _guid(target: _Target, value: Any) -> str:
    try:
        return str(uuid.UUID(str(value)))
    except ValueError:
        raise _refuse(target, "takes a GUID") from None


def _image(target: _Target, value: Any) -> str:
    if not isinstance(value, str):
        raise _refuse(target, "takes a picture in base64")
    return value


def _never(target: _Target, value: Any) -> Any:  # noqa: ARG001 - one of a family
    raise _refuse(target, "cannot be written")


def _as_it_is(target: _Target, value: Any) -> Any:
    """Of a type that did not exist when this was written: the service knows."""
    if isinstance(value, float) and not math.isfinite(value):
        raise _refuse(target, "takes a number of the usual size")
    return value


#: By ``AttributeTypeName.Value``.
_CONVERSIONS: Mapping[str, Callable[[_Target, Any], Any]] = {
    "StringType": _text,
    "MemoType": _text,
    "EntityNameType": _text,
    "IntegerType": _integer,
    "BigIntType": _integer,
    "PicklistType": _choice,
    "StateType": _choice,
    "StatusType": _choice,
    "DecimalType": _decimal,
    "MoneyType": _decimal,
    "DoubleType": _double,
    "BooleanType": _boolean,
    "DateTimeType": _moment,
    "MultiSelectPicklistType": _choices,
    "UniqueidentifierType": _guid,
    # Lookups that lead nowhere that this user can see.
    "LookupType": _never,
    "CustomerType": _never,
    "OwnerType": _never,
    "ImageType": _image,
    "FileType": _never,
    "PartyListType": _never,
    "ManagedPropertyType": _never,
    "VirtualType": _never,
    "CalendarRulesType": _never,
}
