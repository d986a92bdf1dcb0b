"""``$skiptoken``: the paging cookie (Dataverse page 2.3) and the condition that it stands for.

The token is XML, URL-encoded once: ``<cookie pagenumber="2" pagingcookie="..." istracking="False" />``. Its
``pagingcookie`` is XML again, URL-encoded once more: ``<cookie page="1"><contactid last="{..}" first="{..}" />
</cookie>``, with one element per order column in front of the primary key. A null is ``lastnull="1"`` (as in FetchXML's
cookies). While tracking changes it says ``istracking="True"``, and its inner cookie carries the stamp of the first page
(ASSUMPTION; the page does not say how the service remembers it).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, unquote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import quoteattr

from annex_d365_sandbox.dataverse import errors, matching, schema
from annex_d365_sandbox.dataverse.query import Order
from annex_d365_sandbox.dataverse.sql import Sql

_UNPRINTABLE = re.compile(r"[\x00-\x1f\ud800-\udfff\ufffe\uffff]|_(?=x[0-9A-F]{4}_)")
_HIDDEN = re.compile(r"_x([0-9A-F]{4})_")


@dataclass(frozen=True)
class Cookie:
    """A place in a result: the number of the page to come and the order values of the last row before it."""

    page: int
    last: tuple[Any, ...]
    #: The version stamp of the first page while tracking changes.
    stamp: str | None = None


def _written(order: Order, value: Any) -> str:
    return f"{{{str(value).upper()}}}" if order.attribute.kind.edm == "Edm.Guid" else str(value)


def _read(order: Order, text: str) -> Any:
    edm = order.attribute.kind.edm
    if edm == "Edm.Guid":
        return text.strip("{}").lower()
    if edm == "Edm.Double":
        return float(text)
    return int(text) if order.attribute.kind.sql == "INTEGER" else _unhidden(text)


def encode(cookie: Cookie, first: Sequence[Any], orders: Sequence[Order]) -> str:
    """The value of ``$skiptoken``, encoded for a URL; ``first`` are the order values of the page's first row."""
    elements = []
    for order, one, other in zip(orders, cookie.last, first, strict=True):
        last = f"last={_attribute(_written(order, one))}" if one is not None else 'lastnull="1"'
        start = f"first={_attribute(_written(order, other))}" if other is not None else 'firstnull="1"'
        elements.append(f"<{order.name} {last} {start} />")
    stamp = f" stamp={quoteattr(cookie.stamp)}" if cookie.stamp else ""
    inner = f'<cookie page="{cookie.page - 1}"{stamp}>{"".join(elements)}</cookie>'
    # Dataverse writes the inner escapes in lower case, the outer ones in upper case.
    hidden = re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), quote(inner, safe=""))
    outer = f'<cookie pagenumber="{cookie.page}" pagingcookie="{hidden}" istracking="{bool(stamp)}" />'
    return quote(outer, safe="=/")


def veiled(token: str) -> str:
    """A ``$skiptoken`` that says nothing to a client: nobody promises the cookie's form."""
    return base64.urlsafe_b64encode(unquote(token).encode()).decode()


def _attribute(text: str) -> str:
    """Quoted for XML. What XML cannot hold is ``_x0001_``, as .NET's XmlConvert writes it."""
    hidden = _UNPRINTABLE.sub(lambda match: f"_x{ord(match[0]):04X}_", text)
    return quoteattr(hidden, {"'": "&apos;"})


def _unhidden(text: str) -> str:
    return _HIDDEN.sub(lambda match: chr(int(match[1], 16)), text)


def decode(token: str, orders: Sequence[Order]) -> Cookie:
    """The cookie of a (decoded) ``$skiptoken``. Raises ``DataverseError`` if it is malformed or of another query."""
    outer, inner = _opened(token)
    try:
        last = tuple(_last(order, element) for order, element in zip(orders, inner, strict=True))
        return Cookie(int(outer.attrib["pagenumber"]), last, inner.get("stamp"))
    except (KeyError, ValueError) as error:
        raise _malformed() from error


def stamp_of(token: str | None) -> str | None:
    """The stamp in a (decoded) ``$skiptoken``; ``None`` where no changes are tracked. Raises ``DataverseError``."""
    return None if token is None else _opened(token)[1].get("stamp")


def _opened(token: str) -> tuple[ET.Element, ET.Element]:
    try:
        text = token if token.startswith("<") else base64.urlsafe_b64decode(token).decode()
        outer = ET.fromstring(text)  # noqa: S314 - a local sandbox
        return outer, ET.fromstring(unquote(outer.attrib["pagingcookie"]))  # noqa: S314
    except (ET.ParseError, KeyError, ValueError) as error:
        raise _malformed() from error


def _malformed() -> errors.DataverseError:
    return errors.bad_query("Malformed XML in the paging cookie of the $skiptoken query option.")


def _last(order: Order, element: ET.Element) -> Any:
    if element.tag != order.name:
        raise ValueError(element.tag)
    return None if element.get("lastnull") == "1" else _read(order, element.attrib["last"])


def after(cookie: Cookie, orders: Sequence[Order]) -> Sql:
    """The rows behind the cookie's row. Nulls come first in ascending order, as in SQL Server."""
    tests: list[Sql] = list(_bound(orders[0], cookie.last[0]))
    alternatives, parameters = [], []
    for at, (order, value) in enumerate(zip(orders, cookie.last, strict=True)):
        beyond = _beyond(order, value)
        if beyond is None:
            continue
        equal = [f"{o.compared(o.sql)} IS {o.compared('?')}" for o in orders[:at]]
        alternatives.append(" AND ".join([*equal, beyond.text]))
        parameters += [*cookie.last[:at], *beyond.parameters]
    tests.append(Sql(f"({' OR '.join(f'({text})' for text in alternatives) or '0'})", tuple(parameters)))
    return Sql(" AND ".join(test.text for test in tests), tuple(p for test in tests for p in test.parameters))


def _bound(order: Order, value: Any) -> Iterator[Sql]:
    """The first order column alone: lets SQLite seek in its index."""
    if value is not None and not order.descending:
        yield Sql(f"{order.compared(order.sql)} >= {order.compared('?')}", (value,))


def _beyond(order: Order, value: Any) -> Sql | None:
    column, given = order.compared(order.sql), order.compared("?")
    if order.descending:
        return None if value is None else Sql(f"({column} < {given} OR {order.sql} IS NULL)", (value,))
    return Sql(f"{order.sql} IS NOT NULL") if value is None else Sql(f"{column} > {given}", (value,))


def complete(orders: tuple[Order, ...], primary: schema.Attribute, id_order: str) -> tuple[Order, ...]:
    """The order with the primary key as the tie-break that keyset paging needs; ids go by ``Switches.id_order``."""
    if all(order.name != primary.name for order in orders):
        orders = (*orders, Order(f"t.{primary.name}", primary, primary.name))
    if id_order == "text":
        return orders
    return tuple(replace(o, ranked_by=matching.RANK) if o.attribute.kind is schema.GUID else o for o in orders)
