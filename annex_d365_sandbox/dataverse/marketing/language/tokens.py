"""A query's text as tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass

from annex_d365_sandbox.dataverse.marketing.language.tree import QueryError

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>\d+(?:\.\d+)?)|(?P<name>[^\W\d]\w*)"
    r"|(?P<sign>&&|\|\||==|!=|>=|<=|[><+\-*/(),.])|(?P<end>$))"
)


@dataclass(frozen=True)
class Token:
    """``kind`` is ``text``, ``number``, ``name``, ``sign`` or ``end``; ``at`` is where it begins."""

    kind: str
    value: str
    at: int


class Tokens:
    """The tokens of a text, taken one after the other. Keywords count without case (assumed, Dataverse page 8.5)."""

    def __init__(self, text: str, *, any_case: bool = True) -> None:
        self._tokens, self._any_case = _split(text), any_case
        self._at = 0

    @property
    def next(self) -> Token:
        """The token to come."""
        return self._tokens[self._at]

    def take(self) -> Token:
        """The token to come, which is then behind."""
        token = self.next
        self._at += token.kind != "end"
        return token

    def sees(self, *values: str) -> str | None:
        """The sign or keyword to come if it is one of these, in upper case."""
        value = self.next.value.upper() if self._any_case else self.next.value
        return value if self.next.kind in ("sign", "name") and value in values else None

    def sees_call(self, *names: str) -> str | None:
        """The same for names before a bracket: a column may have the name of a function."""
        found = self.sees(*names)
        return found if found and self._tokens[self._at + 1].value == "(" else None

    def took(self, *values: str) -> str | None:
        """Take the sign or keyword to come if it is one of these."""
        found = self.sees(*values)
        if found:
            self.take()
        return found

    def mark(self) -> int:
        """This place, to come :meth:`back` to."""
        return self._at

    def back(self, mark: int) -> None:
        """To a place that was marked."""
        self._at = mark

    def need(self, value: str) -> None:
        """Take this sign or keyword. Raises ``QueryError`` if something else comes."""
        if not self.took(value):
            raise self.error(f"'{value}'")

    def name(self) -> str:
        """Take a name. Raises ``QueryError``."""
        if self.next.kind != "name":
            raise self.error("a name")
        return self.take().value

    def text(self) -> str:
        """Take a text. Raises ``QueryError``."""
        if self.next.kind != "text":
            raise self.error("a text in quotes")
        return unquoted(self.take().value)

    def whole(self) -> int:
        """Take a whole number. Raises ``QueryError``."""
        if self.next.kind != "number" or "." in self.next.value:
            raise self.error("a whole number")
        return int(self.take().value)

    def error(self, wanted: str) -> QueryError:
        """What is wrong at this place."""
        found = f"'{self.next.value}'" if self.next.kind != "end" else "the end"
        return QueryError(f"Syntax error at position {self.next.at}: {wanted} was expected, not {found}.")


def unquoted(text: str) -> str:
    """The text within quotes; a doubled quote stands for one (assumed)."""
    return text[1:-1].replace("''", "'")


def _split(text: str) -> list[Token]:
    result: list[Token] = []
    at = 0
    while not result or result[-1].kind != "end":
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise QueryError(f"Syntax error at position {at}: no token begins with '{text[at:].strip()[:1]}'.")
        result.append(Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
        at = match.end()
    return result
