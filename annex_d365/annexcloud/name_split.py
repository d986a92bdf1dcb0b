"""Divides a search by how names and addresses begin (Annex page 5.4: names take the wildcard ``%``).

No service can be asked for names that begin with none of some letters, and alphabets have no end. So what is found one
way is checked by another: the same members have to be found by first names and by last names (or by addresses), and
they have to include all whom any answer has shown. Only who has no first name need not be found by one. Otherwise the
division counts as incomplete. What no check can see: somebody whose names all begin with letters that no answer of the
run has shown, or are missing.
"""

from __future__ import annotations

import hashlib
import string
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from annex_d365.annexcloud.ahead import Crew
from annex_d365.annexcloud.enumeration import Candidate

#: In this order. That addresses take wildcards, too, is an ASSUMPTION; where they do not, they find nobody.
FACETS = ("firstName", "lastName", "email")
#: So many ways have to find the same members.
WITNESSES = 2
#: Longer beginnings that many members share are no chance.
MAX_PREFIX = 30

#: A prefix with one of these would mean something else.
_WILDCARDS = frozenset("%_")
_BASE_FIRST = string.ascii_uppercase + string.digits
_BASE_NEXT = string.ascii_lowercase + string.digits + " -'."


@dataclass(frozen=True)
class Answer:
    """What a search shows.

    Attributes:
        candidates: the members.
        full: whether there may be more.
    """

    candidates: Sequence[Candidate]
    full: bool


@dataclass
class Alphabet:
    """Characters that values of one field have been seen to hold, beside those that are always tried.

    Case counts, for the service may be particular about it.
    """

    first: dict[str, None] = field(default_factory=lambda: dict.fromkeys(_BASE_FIRST))
    next: dict[str, None] = field(default_factory=lambda: dict.fromkeys(_BASE_NEXT))

    def learn(self, value: Any) -> None:
        """Take note of a value's characters."""
        text = value.strip() if isinstance(value, str) else ""
        if text:
            self.first.update(dict.fromkeys(set(text[:1]) - _WILDCARDS))
            self.next.update(dict.fromkeys(set(text[1:]) - _WILDCARDS))

    def after(self, sign: str) -> list[str]:
        """What may follow a character: scripts are not mixed within a word."""
        scripts = {_script(sign), ""}
        return [each for each in self.next if scripts == {""} or _script(each) in scripts]


@dataclass(frozen=True)
class Pattern:
    """A condition on one field: it begins with ``prefix``, or is just that."""

    prefix: str
    exact: bool = False

    @property
    def value(self) -> str:
        """As a search has it."""
        return self.prefix if self.exact else self.prefix + "%"


class NameSplit:
    """Divides searches. What it learns about the alphabets of a site is kept from one to the next.

    Args:
        search: gives the answer to criteria.
        crew: sends the searches.
    """

    def __init__(self, search: Callable[[Mapping[str, str]], Answer], crew: Crew) -> None:
        self._search, self._crew = search, crew
        self._alphabets = {facet: Alphabet() for facet in FACETS}

    def learn(self, candidates: Iterable[Candidate]) -> None:
        """Take note of how members are called."""
        for candidate in candidates:
            for facet, alphabet in self._alphabets.items():
                alphabet.learn(candidate.fields.get(facet))

    def division(self, criteria: Mapping[str, str], shown: Sequence[Candidate]) -> Division:
        """A search in parts.

        Args:
            criteria: of a search that is full.
            shown: its answer.
        """
        self.learn(shown)
        return Division(criteria, shown, self.parts)

    def parts(self, facet: str, criteria: Mapping[str, str]) -> Iterator[Answer]:
        """Answers that cannot be divided any further, or need not."""

        def search(pattern: Pattern) -> Answer:
            return self._search({**criteria, facet: pattern.value})

        def narrower(pattern: Pattern, answer: Answer) -> Sequence[Pattern]:
            self.learn(answer.candidates)
            if not answer.full or pattern.exact or len(pattern.prefix) >= MAX_PREFIX:
                return ()
            following = self._alphabets[facet].after(pattern.prefix[-1])
            return [Pattern(pattern.prefix, exact=True), *(Pattern(pattern.prefix + sign) for sign in following)]

        alphabet, done = self._alphabets[facet].first, set[str]()
        while fresh := [sign for sign in alphabet if sign not in done]:
            # Answers may show further ones meanwhile.
            done.update(fresh)
            for _, answer in self._crew.expanded(map(Pattern, fresh), search, narrower):
                yield answer


class Division:
    """One search, divided.

    Attributes:
        complete: whether all members were found, as far as can be known; says so when all answers were taken.
    """

    def __init__(
        self,
        criteria: Mapping[str, str],
        shown: Sequence[Candidate],
        parts: Callable[[str, Mapping[str, str]], Iterator[Answer]],
    ) -> None:
        self._criteria, self._shown, self._parts = criteria, shown, parts
        self.complete = False
        self._everybody = set[bytes]()
        #: Who has no such name: a search by it cannot show them.
        self._without = {facet: set[bytes]() for facet in FACETS}

    def answers(self) -> Iterator[Sequence[Candidate]]:
        """Members, some of them again and again."""
        self._take(self._shown)
        witnesses: dict[str, set[bytes]] = {}
        for facet in FACETS:
            found: set[bytes] = set()
            whole = True
            for answer in self._parts(facet, self._criteria):
                found |= self._take(answer.candidates)
                whole = whole and not answer.full
                yield answer.candidates
            if whole and found:
                witnesses[facet] = found
            agreeing = [found for facet, found in witnesses.items() if self._agrees(facet, found)]
            self.complete = len(agreeing) >= WITNESSES and set().union(*agreeing) == self._everybody
            if self.complete:
                return

    def _agrees(self, facet: str, found: set[bytes]) -> bool:
        without = self._without[facet]
        # Who was found by a name, and is shown without it: answers do not tell names.
        excused = without if found.isdisjoint(without) else set[bytes]()
        return found | excused == self._everybody

    def _take(self, candidates: Sequence[Candidate]) -> set[bytes]:
        """Short stand-ins for the ids of members, of whom there may be many."""
        digests = [hashlib.blake2b(each.id.encode(), digest_size=8).digest() for each in candidates]
        self._everybody.update(digests)
        for digest, candidate in zip(digests, candidates, strict=True):
            for facet in FACETS:
                if not str(candidate.fields.get(facet) or "").strip():
                    self._without[facet].add(digest)
        return {*digests}


@cache
def _script(sign: str) -> str:
    """``LATIN``, ``CYRILLIC``, ...; empty for what is no letter."""
    return unicodedata.name(sign, "").partition(" ")[0] if sign.isalpha() else ""
