"""Bodies that create or change tables, columns and keys, as declarations (Dataverse page 4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from annex_d365_sandbox.dataverse import columns as col
from annex_d365_sandbox.dataverse import errors, schema
from annex_d365_sandbox.dataverse.bodies import member, members
from annex_d365_sandbox.dataverse.schema import Attribute, Key, Option, Table

#: ``ComplexStringAttributeMetadata`` is what the action CreateEntities calls it.
_TYPE = re.compile(r"#?Microsoft\.Dynamics\.CRM\.(?:Complex)?(?P<kind>\w+)AttributeMetadata")
#: Values of options without one count up from here, as those of a publisher's own do.
_FIRST_OPTION = 100_000_000
_KEY_KINDS = frozenset({schema.DECIMAL, schema.INTEGER, schema.STRING, schema.DATETIME, schema.DATE, schema.LOOKUP,
                        schema.PICKLIST})  # fmt: skip
MAX_KEYS, MAX_KEY_COLUMNS, MAX_KEY_BYTES = 10, 16, 900


def label_of(body: Mapping[str, Any], name: str) -> str | None:
    """The text of a Label object; of several languages the first. ``None`` if there is none."""
    labels = members(member(body, name), "LocalizedLabels")
    return str(labels[0].get("Label", "")) if labels else None


def schema_name_of(body: Mapping[str, Any], prefixes: Sequence[str], what: str) -> str:
    """The schema name of something new. Raises ``DataverseError`` if it has no prefix of a publisher."""
    name = body.get("SchemaName")
    prefix = name.partition("_")[0].lower() if isinstance(name, str) else ""
    if not isinstance(name, str) or prefix not in prefixes or not re.fullmatch(r"\w+_\w+", name, re.ASCII):
        raise errors.bad_prefix(str(name), what)
    return name


def table_of(body: Mapping[str, Any], prefixes: Sequence[str], object_type_code: int) -> Table:
    """A new table. Raises ``DataverseError``."""
    name = schema_name_of(body, prefixes, "Entity")
    logical = name.lower()
    given = members(body, "Attributes")
    primary = [each for each in given if each.get("IsPrimaryName")]
    if len(primary) != 1:
        raise errors.bad_value("0x8004700e", "Primary UI Attribute has to be of type String")
    own = with_currency([attribute for each in given for attribute in attributes_of(each, prefixes)], ())
    set_name = body.get("EntitySetName") or plural(logical)
    if not isinstance(set_name, str) or not re.fullmatch(r"\w+", set_name, re.ASCII):
        raise errors.bad_parameters("EntitySetName is not a name.")
    owned = body.get("OwnershipType", "UserOwned") == "UserOwned"
    return Table(
        logical_name=logical,
        set_name=set_name,
        schema_name=name,
        label=label_of(body, "DisplayName") or name,
        collection_label=label_of(body, "DisplayCollectionName") or "",
        description=label_of(body, "Description") or "",
        object_type_code=object_type_code,
        primary_name=str(primary[0]["SchemaName"]).lower(),
        custom=True,
        change_tracking=bool(body.get("ChangeTrackingEnabled", False)),
        ownership="UserOwned" if owned else "OrganizationOwned",
        attributes=col.with_shadows((col.primary_id(f"{logical}id"), *own, *col.standard(owned=owned))),
    )


def plural(name: str) -> str:
    """The LogicalCollectionName by English rules; a client reads it from metadata (Dataverse page 4)."""
    if re.search(r"[^aeiou]y$", name):
        return f"{name[:-1]}ies"
    return f"{name}es" if re.search(r"(?:s|x|z|ch|sh)$", name) else f"{name}s"


def attributes_of(body: Mapping[str, Any], prefixes: Sequence[str]) -> tuple[Attribute, ...]:
    """A new column, with those that come along: ``<money>_base``, ``<file>_name``. Raises ``DataverseError``."""
    name = schema_name_of(body, prefixes, "Attribute")
    match = _TYPE.fullmatch(str(body.get("@odata.type", "")))
    maker = _MAKERS.get(match["kind"]) if match else None
    if maker is None:
        raise errors.bad_parameters(f"The sandbox cannot create a column of the type '{body.get('@odata.type')}'.")
    common = {
        "schema_name": name,
        "label": label_of(body, "DisplayName") or name,
        "description": label_of(body, "Description") or "",
        "required": str(member(body, "RequiredLevel").get("Value") or "None"),
        "custom": True,
    }
    made = maker(name.lower(), body, common)
    return made if isinstance(made, tuple) else (made,)


def with_currency(made: Sequence[Attribute], held: Sequence[Attribute]) -> tuple[Attribute, ...]:
    """New columns, with those that the first amount of a table brings along."""
    if not any(each.kind is schema.MONEY for each in made) or any(each.name == "exchangerate" for each in held):
        return tuple(made)
    return (
        *made,
        col.decimal("exchangerate", 10, schema_name="ExchangeRate", **col.READ_ONLY),
        col.lookup("transactioncurrencyid", {"transactioncurrency": "transactioncurrencyid"}),
    )


def changed(attribute: Attribute, body: Mapping[str, Any]) -> Attribute:
    """A column with what a whole definition says of it; its type stays (Dataverse page 4)."""
    changes: dict[str, Any] = {"label": label_of(body, "DisplayName") or attribute.label}
    changes |= _limits(body)
    if required := member(body, "RequiredLevel").get("Value"):
        changes["required"] = str(required)
    return attribute.but(**changes)


def key_of(table: Table, body: Mapping[str, Any], prefixes: Sequence[str], ready_at: str) -> Key:
    """A new alternate key, whose index is pending. Raises ``DataverseError``."""
    name = schema_name_of(body, prefixes, "EntityKey")
    given = body.get("KeyAttributes")
    names = tuple(str(each) for each in given) if isinstance(given, list) else ()
    if not names or len(set(names)) < len(names):
        raise errors.bad_parameters("KeyAttributes must name each column once.")
    for each in names:
        if each not in table.by_name:
            raise errors.unknown_attribute(each)
        if table.by_name[each].kind not in _KEY_KINDS or len(table.by_name[each].navigations) > 1:
            raise errors.bad_key(f"Attribute {each} cannot be part of a key because of its type.")
    if any(key.logical_name == name.lower() for key in table.keys):
        raise errors.DataverseError(
            400, "0x80060893", f"An entity key with the name {name} already exists on entity {table.logical_name}."
        )
    if any(set(key.attributes) == set(names) for key in table.keys):
        raise errors.DataverseError(
            400, "0x80060894", "An entity key with the selected attributes already exists on entity."
        )
    size = sum(_bytes(table.by_name[each]) for each in names)
    if len(table.keys) >= MAX_KEYS or len(names) > MAX_KEY_COLUMNS or size > MAX_KEY_BYTES:
        raise errors.bad_key(
            f"There may be {MAX_KEYS} keys of {MAX_KEY_COLUMNS} columns and {MAX_KEY_BYTES} bytes each."
        )
    label = label_of(body, "DisplayName") or name
    return Key(name.lower(), names, schema_name=name, label=label, status="Pending", ready_at=ready_at)


def _bytes(attribute: Attribute) -> int:
    """The size of a value in an index of SQL Server: two bytes a character; others have 16 at most."""
    return 2 * attribute.max_length if attribute.kind is schema.STRING else 16


_Maker = Callable[[str, Mapping[str, Any], dict[str, Any]], "Attribute | tuple[Attribute, ...]"]
_CHANGEABLE = {"MaxLength": "max_length", "MinValue": "minimum", "MaxValue": "maximum", "Precision": "precision"}


def _limits(body: Mapping[str, Any]) -> dict[str, Any]:
    return {_CHANGEABLE[name]: int(body[name]) for name in _CHANGEABLE if isinstance(body.get(name), (int, float))}


def _sized(make: Callable[..., Attribute]) -> _Maker:
    def maker(name: str, body: Mapping[str, Any], common: dict[str, Any]) -> Attribute:
        form = member(body, "FormatName").get("Value") or body.get("Format") or ""
        return make(name, **common).but(**_limits(body), format=str(form))

    return maker


def _money(name: str, body: Mapping[str, Any], common: dict[str, Any]) -> tuple[Attribute, ...]:
    return tuple(each.but(**_limits(body) | {"precision": 4}) for each in col.money(name, **common))


def _datetime(name: str, body: Mapping[str, Any], common: dict[str, Any]) -> Attribute:
    behavior = member(body, "DateTimeBehavior").get("Value") or "UserLocal"
    if behavior not in ("UserLocal", "DateOnly", "TimeZoneIndependent"):
        raise errors.bad_parameters(f"There is no DateTimeBehavior '{behavior}'.")
    if behavior == "DateOnly":
        return col.date(name, **common)
    return col.datetime(name, behavior, format=str(body.get("Format") or "DateAndTime"), **common)


def _boolean(name: str, body: Mapping[str, Any], common: dict[str, Any]) -> Attribute:
    options = member(body, "OptionSet")
    labels = tuple(
        label_of(member(options, name), "Label") or text
        for name, text in (("FalseOption", "No"), ("TrueOption", "Yes"))
    )
    return col.boolean(name, (labels[0], labels[1]), default=bool(body.get("DefaultValue")), **common)


def _choice(kind: schema.Kind) -> _Maker:
    def maker(name: str, body: Mapping[str, Any], common: dict[str, Any]) -> Attribute:
        options = body.get("OptionSet")
        if not isinstance(options, Mapping) or options.get("IsGlobal"):
            raise errors.bad_parameters("The sandbox has local option sets only.")
        values = tuple(
            Option(_value(each, _FIRST_OPTION + number), label_of(each, "Label") or "")
            for number, each in enumerate(members(options, "Options"))
        )
        if len({option.value for option in values}) < len(values):
            raise errors.DataverseError(400, "0x80048403", "Invalid OptionSet")
        return Attribute(name, kind, options=values, **common)

    return maker


def _value(option: Mapping[str, Any], default: int) -> int:
    value = option.get("Value", default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise errors.bad_parameters("The Value of an option is a whole number.")
    return value


_MAKERS: Mapping[str, _Maker] = {
    "String": _sized(col.text),
    "Memo": _sized(col.memo),
    "Integer": _sized(col.integer),
    "BigInt": lambda name, _, common: col.bigint(name, **common),
    "Decimal": _sized(col.decimal),
    "Double": _sized(col.double),
    "Money": _money,
    "DateTime": _datetime,
    "Boolean": _boolean,
    "Picklist": _choice(schema.PICKLIST),
    "MultiSelectPicklist": _choice(schema.MULTISELECT),
    "File": lambda name, _, common: col.file(name, **common),
    "Image": lambda name, _, common: col.image(name, **common),
}
