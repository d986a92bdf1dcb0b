"""Constructors of columns, so that a table reads as a list of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from annex_d365_sandbox.dataverse import schema
from annex_d365_sandbox.dataverse.schema import Attribute, Navigation, Option

#: What a client cannot write: the platform does (Dataverse page 5.1, "silently ignored").
READ_ONLY: Mapping[str, Any] = {"creatable": False, "updatable": False}


def text(name: str, max_length: int = 100, **more: Any) -> Attribute:
    """A line of text."""
    return Attribute(name, schema.STRING, max_length=max_length, **more)


def memo(name: str, max_length: int = 2000, **more: Any) -> Attribute:
    """Several lines of text."""
    return Attribute(name, schema.MEMO, max_length=max_length, **more)


def integer(name: str, minimum: int = -2147483648, maximum: int = 2147483647, **more: Any) -> Attribute:
    """A whole number."""
    return Attribute(name, schema.INTEGER, minimum=minimum, maximum=maximum, **more)


def decimal(name: str, precision: int = 2, limit: int = 100_000_000_000, **more: Any) -> Attribute:
    """A decimal number with so many digits after the point."""
    return Attribute(name, schema.DECIMAL, precision=precision, minimum=-limit, maximum=limit, **more)


def double(name: str, limit: int = 100_000_000_000, **more: Any) -> Attribute:
    """A floating-point number."""
    return Attribute(name, schema.DOUBLE, minimum=-limit, maximum=limit, **more)


def money(name: str, limit: int = 922_337_203_685_477, **more: Any) -> tuple[Attribute, Attribute]:
    """An amount in the row's currency and the same in the organisation's (``<name>_base``), which is read-only."""
    amount = Attribute(name, schema.MONEY, precision=4, minimum=-limit, maximum=limit, **more)
    return amount, amount.but(name=f"{name}_base", label=f"{amount.label or name} (Base)", **READ_ONLY)


def boolean(name: str, labels: tuple[str, str] = ("No", "Yes"), *, default: bool = False, **more: Any) -> Attribute:
    """Yes or no; ``labels`` are those of false and true."""
    options = (Option(0, labels[0]), Option(1, labels[1]))
    return Attribute(name, schema.BOOLEAN, options=options, default=int(default), **more)


def datetime(name: str, behavior: str = "UserLocal", **more: Any) -> Attribute:
    """A moment in UTC."""
    return Attribute(name, schema.DATETIME, behavior=behavior, **more)


def date(name: str, **more: Any) -> Attribute:
    """A day without time or zone."""
    return Attribute(name, schema.DATE, behavior="DateOnly", **more)


def choice(name: str, options: Mapping[int, str], **more: Any) -> Attribute:
    """One of several values."""
    return Attribute(name, schema.PICKLIST, options=tuple(Option(*item) for item in options.items()), **more)


def choices(name: str, options: Mapping[int, str], **more: Any) -> Attribute:
    """Any of several values."""
    return Attribute(name, schema.MULTISELECT, options=tuple(Option(*item) for item in options.items()), **more)


def lookup(name: str, targets: Mapping[str, str], kind: schema.Kind = schema.LOOKUP, **more: Any) -> Attribute:
    """A reference; ``targets`` gives the navigation property of each target table."""
    navigations = tuple(Navigation(navigation, name, table) for table, navigation in targets.items())
    return Attribute(name, kind, navigations=navigations, **more)


def guid(name: str, **more: Any) -> Attribute:
    """An identifier that is no reference."""
    return Attribute(name, schema.GUID, **more)


def bigint(name: str, **more: Any) -> Attribute:
    """A whole number of 64 bits."""
    return Attribute(name, schema.BIGINT, minimum=-(2**63), maximum=2**63 - 1, **more)


def entity_name(name: str, **more: Any) -> Attribute:
    """The logical name of a table."""
    return Attribute(name, schema.ENTITY_NAME, **more)


def total(name: str, of: tuple[str, ...], **more: Any) -> Attribute:
    """A calculated column: the sum of whole numbers of the row."""
    return integer(name, sum_of=of, **READ_ONLY, **more)


def file(name: str, **more: Any) -> tuple[Attribute, Attribute]:
    """A file: the id of its content, and its name (Dataverse page 2.5)."""
    return Attribute(name, schema.FILE, **READ_ONLY, **more), text(f"{name}_name", 200, **READ_ONLY)


def primary_id(name: str) -> Attribute:
    """The primary key; a client may give its own value when it creates a row."""
    return guid(name, updatable=False, required="SystemRequired")


def image(name: str, **more: Any) -> tuple[Attribute, ...]:
    """An image with the three columns that tell of it (Dataverse page 2.5)."""
    return (
        Attribute(name, schema.IMAGE, **more),
        guid(f"{name}id", **READ_ONLY),
        Attribute(f"{name}_timestamp", schema.BIGINT, **READ_ONLY),
        text(f"{name}_url", 200, **READ_ONLY),
    )


def states(options: Mapping[tuple[int, str], Mapping[int, str]]) -> tuple[Attribute, Attribute]:
    """``statecode`` and ``statuscode``: (state, label) -> its status values with labels, the default first."""
    state = tuple(Option(value, label) for value, label in options)
    status = tuple(Option(v, label, code) for (code, _), values in options.items() for v, label in values.items())
    return (
        Attribute("statecode", schema.STATE, options=state, default=state[0].value, required="SystemRequired"),
        Attribute("statuscode", schema.STATUS, options=status, default=status[0].value),
    )


ACTIVE_INACTIVE: Mapping[tuple[int, str], Mapping[int, str]] = {
    (0, "Active"): {1: "Active"},
    (1, "Inactive"): {2: "Inactive"},
}


def standard(
    status: Mapping[tuple[int, str], Mapping[int, str]] = ACTIVE_INACTIVE, *, owned: bool = True
) -> tuple[Attribute, ...]:
    """The columns that every table has; ``owned`` adds those of a row that belongs to a user."""
    audit = (
        datetime(
            "createdon",
            schema_name="CreatedOn",
            description="Date and time when the record was created.",
            **READ_ONLY,
        ),
        datetime(
            "modifiedon",
            schema_name="ModifiedOn",
            description="Date and time when the record was modified.",
            **READ_ONLY,
        ),
        datetime("overriddencreatedon", updatable=False, label="Record Created On"),
        *(
            lookup(name, {"systemuser": name}, **READ_ONLY)
            for name in ("createdby", "modifiedby", "createdonbehalfby", "modifiedonbehalfby")
        ),
        integer("importsequencenumber"),
        integer("timezoneruleversionnumber", -1),
        integer("utcconversiontimezonecode", -1),
        Attribute("versionnumber", schema.BIGINT, **READ_ONLY),
        *states(status),
    )
    if not owned:
        return audit
    return (
        *audit,
        lookup("ownerid", {"systemuser": "ownerid"}, schema.OWNER, required="SystemRequired"),
        lookup("owninguser", {"systemuser": "owninguser"}, **READ_ONLY),
        lookup("owningbusinessunit", {"businessunit": "owningbusinessunit"}, **READ_ONLY),
    )


def with_shadows(attributes: Iterable[Attribute]) -> tuple[Attribute, ...]:
    """The columns plus the shadows that metadata lists for them: ``<choice>name``, ``<lookup>name``."""
    result: list[Attribute] = []
    for attribute in attributes:
        result.append(attribute)
        name = f"{attribute.name}name"
        if attribute.kind in schema.LOOKUPS:
            result.append(text(name, 100, attribute_of=attribute.name, **READ_ONLY))
        elif attribute.options:
            result.append(Attribute(name, schema.SHADOW, attribute_of=attribute.name, **READ_ONLY))
    return tuple(result)
