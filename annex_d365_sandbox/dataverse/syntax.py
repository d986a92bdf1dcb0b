"""``$filter`` text to a syntax tree: the one place that knows the weak points of the ``odata-query`` library (0.10).

* Keywords have no word boundary: ``allowed`` reads as ``all`` + ``owed``. Such names get the namespace ``_``.
* ``not(...)`` reads as a function call; OData writes it so often that Dataverse takes it.
* A list of one value needs a trailing comma, ``[...]`` is unknown, three named arguments fail. So the functions of
  Dataverse, ``Microsoft.Dynamics.CRM.In(PropertyName='x',PropertyValues=['1'])``, become calls by position.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from odata_query import ast
from odata_query.exceptions import ODataException
from odata_query.grammar import ODataLexer, ODataParser

from annex_d365_sandbox.dataverse import errors

_STRING = r"'(?:[^']|'')*'"
_PIECES = re.compile(
    rf"(?P<string>{_STRING})"
    r"|(?P<alias>@\w+)"
    r"|(?P<function>Microsoft\.Dynamics\.CRM\.\w+\s*\()"
    r"|(?P<negation>(?<![\w.])not\s*\()"
    r"|(?P<name>(?<![\w.'-])(?:any|all|null|true|false)\w+)",
    re.IGNORECASE,
)
_ARGUMENT = re.compile(
    rf"\s*(?P<name>\w+)\s*=\s*(?P<value>\[(?:'[^']*'|[^\]'])*\]|{_STRING}|[^,)\[]+?)\s*(?P<end>[,)])"
)
_ALIAS = re.compile(rf"{_STRING}|(?P<alias>@\w+)")


def with_aliases(text: str, aliases: Mapping[str, str]) -> str:
    """The text with parameter aliases (``@p1``) put in. Raises ``DataverseError`` for one without a value."""

    def put(match: re.Match[str]) -> str:
        name = match["alias"]
        if name is None:
            return match[0]
        if name not in aliases:
            raise errors.bad_query(f"Parameter alias '{name}' has no value.")
        return aliases[name]

    return _ALIAS.sub(put, text)


def parse(text: str, aliases: Mapping[str, str]) -> Any:
    """The syntax tree of a filter.

    Args:
        text: the value of ``$filter``, decoded.
        aliases: values of parameter aliases by name with its ``@``.

    Raises:
        DataverseError: the text is no filter.
    """
    prepared = _prepare(with_aliases(text, aliases).strip())
    try:
        return ODataParser().parse(ODataLexer().tokenize(prepared))
    except (ODataException, ValueError, AttributeError, NotImplementedError) as error:
        raise errors.bad_query(f"Syntax error in '{text}': an expression was expected.") from error
    except RecursionError as error:
        raise errors.bad_query("The node count limit of '100' has been exceeded.") from error


def _prepare(text: str) -> str:
    result: list[str] = []
    at = 0
    while match := _PIECES.search(text, at):
        result.append(text[at : match.start()])
        at = match.end()
        if match["function"]:
            call, at = _call(text, match)
            result.append(call)
        elif match["negation"]:
            result.append("not (")
        elif match["name"]:
            result.append(f"_.{match['name']}")
        else:
            result.append(match[0])
    return "".join([*result, text[at:]])


def _call(text: str, start: re.Match[str]) -> tuple[str, int]:
    at, named = start.end(), {}
    while match := _ARGUMENT.match(text, at):
        named[match["name"]] = match["value"]
        at = match.end()
        if match["end"] == ")":
            break
    else:
        raise errors.bad_query(f"Syntax error in the arguments of '{start[0].rstrip('( ')}'.")
    if "PropertyName" not in named:
        raise errors.bad_query(f"The argument PropertyName of '{start[0].rstrip('( ')}' is missing.")
    arguments = [named.pop("PropertyName"), *map(_list, named.values())]
    return f"{start[0]}{','.join(arguments)})", at


def _list(value: str) -> str:
    if not value.startswith("["):
        return value
    items = re.findall(rf"{_STRING}|[^\s,\[\]]+", value)
    return f"({items[0]},)" if len(items) == 1 else f"({','.join(items)})"


def name_of(node: Any) -> str | None:
    """The name of an identifier, without the namespace that this module may have given it."""
    if isinstance(node, ast.Identifier) and node.namespace in ((), ("_",)):
        return str(node.name)
    return None
