"""What a check is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, TypeVar

Context = TypeVar("Context")


class Verdict(str, Enum):
    """What became of a check."""

    OK = "ok"
    #: The service does otherwise than assumed; the sentence says what that means.
    DIFFERS = "differs"
    CANNOT_TELL = "cannot tell"
    FAILED = "failed"


@dataclass(frozen=True)
class Change:
    """A setting to change.

    Attributes:
        plugin: as in meltano.yml.
        setting: dotted path: ``members.columns.optOutDate``.
        value: that it must have.
    """

    plugin: str
    setting: str
    value: Any


@dataclass(frozen=True)
class Finding:
    """What a check has found.

    Attributes:
        verdict: in a word.
        sentence: for people. It holds no secret and no member data.
        changes: settings that make it right.
        todo: what else must be done; empty where nothing must.
    """

    verdict: Verdict
    sentence: str
    changes: tuple[Change, ...] = ()
    todo: str = ""

    @property
    def urgent(self) -> bool:
        """Whether something must be changed."""
        return self.verdict is Verdict.FAILED or bool(self.changes or self.todo)


@dataclass(frozen=True)
class Check(Generic[Context]):
    """One question to a service.

    Attributes:
        id: ``annex.search``.
        title: what is asked.
        page: section of the reference page that the answer is assumed in; empty for none.
        how: the requests.
        run: finds the answer.
        needs: id of the check that must have succeeded before; empty for none.
        writes: whether it needs ``--canary``.
    """

    id: str
    title: str
    page: str
    how: str
    run: Callable[[Context], Finding] = field(repr=False)
    needs: str = ""
    writes: bool = False


@dataclass(frozen=True)
class Result:
    """A check and what it found; ``error`` names the type of what kept it from being asked."""

    check: Check[Any]
    finding: Finding
    error: str = ""


class Checks(Generic[Context]):
    """Declared checks of one area, in their order.

    Args:
        needs: the check that all of them need, unless they say another.
        writes: whether they need ``--canary``.
    """

    def __init__(self, needs: str = "", *, writes: bool = False) -> None:
        self._needs, self._writes = needs, writes
        self.all: list[Check[Context]] = []

    def __call__(
        self, check_id: str, title: str, *, page: str, how: str, needs: str | None = None
    ) -> Callable[[Callable[[Context], Finding]], Callable[[Context], Finding]]:
        """Declare the decorated function as a check."""

        def declare(run: Callable[[Context], Finding]) -> Callable[[Context], Finding]:
            wanted = self._needs if needs is None else needs
            self.all.append(Check(check_id, title, page, how, run, wanted, self._writes))
            return run

        return declare


class CannotTellError(Exception):
    """What a check needs to look at is not there; the text is the sentence."""


def ok(sentence: str) -> Finding:
    """As assumed, or as it should be."""
    return Finding(Verdict.OK, sentence)


def differs(sentence: str, changes: tuple[Change, ...] = (), todo: str = "") -> Finding:
    """Otherwise than assumed. Without ``changes`` and ``todo`` the connector copes with it."""
    return Finding(Verdict.DIFFERS, sentence, changes, todo)


def cannot_tell(sentence: str) -> Finding:
    """Not to be seen here."""
    return Finding(Verdict.CANNOT_TELL, sentence)


def failed(sentence: str, changes: tuple[Change, ...] = (), todo: str = "") -> Finding:
    """It does not work."""
    return Finding(Verdict.FAILED, sentence, changes, todo)


def uncovered(module: str) -> str:
    """What to do where no setting of the connector covers what was found; ``module`` knows the one way only."""
    return f"No setting covers this yet ({module}): please send in the report."


def unsupported(sentence: str, module: str) -> Finding:
    """Otherwise than assumed, and no setting of the connector covers it.

    Args:
        sentence: for people.
        module: that knows the one way only, for those who receive the report.
    """
    return Finding(Verdict.DIFFERS, sentence, todo=uncovered(module))


def merged(settings: Mapping[str, Mapping[str, Any]], changes: tuple[Change, ...]) -> dict[str, dict[str, Any]]:
    """The settings to change by plugin, each whole: what else an object holds stays in it.

    Args:
        settings: as they are, by plugin.
        changes: of which later ones win.
    """
    wanted: dict[str, dict[str, Any]] = {}
    for change in changes:
        first, *rest = change.setting.split(".")
        own = wanted.setdefault(change.plugin, {})
        if not rest:
            own[first] = change.value
            continue
        if first not in own:
            own[first] = _copy(settings.get(change.plugin, {}).get(first))
        inner = own[first]
        for name in rest[:-1]:
            inner = inner.setdefault(name, {})
        inner[rest[-1]] = change.value
    return wanted


def _copy(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {}
    return {name: _copy(each) if isinstance(each, Mapping) else each for name, each in value.items()}
