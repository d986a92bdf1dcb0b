"""What doctor says: lines, a table on a terminal, and a report that can be sent in."""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from annex_d365.doctor.model import Change, Result, Verdict, merged
from annex_d365.plugin_settings import Settings

DISTRIBUTION = "annexcloud-d365"
_WIDTH = max(len(each.value) for each in Verdict)
_STYLES = {Verdict.OK: "green", Verdict.DIFFERS: "yellow", Verdict.CANNOT_TELL: "dim", Verdict.FAILED: "bold red"}
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+")
_HOST = re.compile(r"(https?://)([\w.-]+)(:\d+)?")
_DIGITS = 12
#: Shorter texts of settings (``r1``) say nothing, and stand in many words.
_SHORTEST_SECRET = 4


@dataclass
class Examination:
    """What came out for one service.

    Attributes:
        title: of the service.
        plugins: that reach it.
        address: of the service; reports have a digest of it.
        results: of its checks.
        left: what a canary has left.
    """

    title: str
    plugins: Sequence[str]
    address: str = ""
    results: list[Result] = field(default_factory=list)
    left: Sequence[str] = ()


@dataclass
class Report:
    """All that came out.

    Attributes:
        settings: of the plugins, as they are.
        secrets: texts that must not be in what is sent in.
        examinations: one for each service.
        canary: whether test rows were written.
    """

    settings: Mapping[str, Settings]
    secrets: frozenset[str]
    canary: bool = False
    examinations: list[Examination] = field(default_factory=list)

    @property
    def results(self) -> Iterator[Result]:
        """Of all services."""
        return (result for each in self.examinations for result in each.results)

    @property
    def urgent(self) -> bool:
        """Whether something must be changed."""
        return any(result.finding.urgent for result in self.results)

    @property
    def answered(self) -> bool:
        """Whether any service has answered a question."""
        return any(result.finding.verdict in {Verdict.OK, Verdict.DIFFERS} for result in self.results)

    @property
    def changes(self) -> dict[str, dict[str, Any]]:
        """The settings to change, by plugin."""
        wanted: list[Change] = [change for result in self.results for change in result.finding.changes]
        return merged(self.settings, tuple(wanted))

    @property
    def todo(self) -> list[str]:
        """What must be done besides, each once, and for which plugins where the others need it not."""
        wanted: dict[str, list[str]] = {}
        for each in self.examinations:
            for todo in dict.fromkeys(result.finding.todo for result in each.results if result.finding.todo):
                wanted.setdefault(todo, []).extend(each.plugins)
        alone = len(self.examinations) == 1
        return [todo if alone else f"{', '.join(plugins)}: {todo}" for todo, plugins in wanted.items()]

    def ending(self) -> Iterator[str]:
        """The lines after the results."""
        for each in self.examinations:
            yield from each.left
        counts = {verdict: sum(r.finding.verdict is verdict for r in self.results) for verdict in Verdict}
        yield ", ".join(f"{count} {verdict.value}" for verdict, count in counts.items() if count)
        if self.todo:
            yield "To do:"
            yield from (f"- {each}" for each in self.todo)
        if self.changes:
            yield "Settings to change (meltano.yml, or the environment's `config`):"
            yield from yaml(self.changes)
        if not self.urgent:
            yield "Nothing must be changed."

    def lines(self) -> Iterator[str]:
        """Everything, as plain text."""
        for each in self.examinations:
            yield f"{each.title} ({', '.join(each.plugins)})"
            yield from (line(result) for result in each.results)
        yield from self.ending()

    def document(self) -> dict[str, Any]:
        """Everything, as JSON, without what is nobody's business."""
        shown = {
            "version": version(DISTRIBUTION),
            "python": platform.python_version(),
            "system": platform.system(),
            "canary": self.canary,
            "services": [_service(each) for each in self.examinations],
            "to_do": self.todo,
            "settings_to_change": self.changes,
            "text": list(self.lines()),
        }
        return {name: self._masked(value) for name, value in shown.items()}

    def json(self) -> str:
        """The document, for people to look through before they send it."""
        return json.dumps(self.document(), indent=2, ensure_ascii=False) + "\n"

    def _masked(self, value: Any) -> Any:
        if isinstance(value, str):
            return mask(value, self.secrets)
        if isinstance(value, Mapping):
            return {name: self._masked(each) for name, each in value.items()}
        return [self._masked(each) for each in value] if isinstance(value, (list, tuple)) else value


def line(result: Result) -> str:
    """A result as a line."""
    check, finding = result.check, result.finding
    return f"{finding.verdict.value:<{_WIDTH}}  {check.id:<28}  {check.title}? {finding.sentence}"


def show(console: Console, examination: Examination) -> None:
    """The results as a table."""
    heading = f"{examination.title} ({', '.join(examination.plugins)})"
    table = Table(title=heading, title_justify="left", title_style="bold", show_lines=False, expand=True)
    table.add_column("", no_wrap=True)
    table.add_column("Check", ratio=2)
    table.add_column("Finding", ratio=3)
    for result in examination.results:
        verdict = result.finding.verdict
        sentence = Text(result.finding.sentence)
        if result.finding.todo:
            sentence.append(f" {result.finding.todo}", style="bold")
        title = Text(f"{result.check.title}?")
        if verdict is not Verdict.OK:
            title.append(f"\n{result.check.id}", style="dim")
        table.add_row(
            Text(verdict.value, style=_STYLES[verdict]),
            title,
            sentence,
        )
    console.print(table)


def yaml(changes: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Settings as a block for meltano.yml; values are JSON, which is YAML."""
    kinds = {"extractors": "tap-", "loaders": "target-"}
    yield "plugins:"
    for kind, begin in kinds.items():
        own = {plugin: values for plugin, values in changes.items() if plugin.startswith(begin)}
        if own:
            yield f"  {kind}:"
        for plugin, values in own.items():
            yield f"  - name: {plugin}"
            yield "    config:"
            yield from (f"      {name}: {json.dumps(value, ensure_ascii=False)}" for name, value in values.items())


def mask(text: str, secrets: Iterable[str]) -> str:
    """A text without values of connections, hosts and e-mail addresses."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "<hidden>")
    text = _HOST.sub(lambda found: f"{found[1]}<host {digest(found[2])}>", text)
    return _EMAIL.sub("<e-mail>", text)


def digest(text: str) -> str:
    """Tells whether two are the same, and not what they are."""
    return hashlib.sha256(text.casefold().encode()).hexdigest()[:_DIGITS]


def _service(examination: Examination) -> dict[str, Any]:
    return {
        "service": examination.title,
        "plugins": list(examination.plugins),
        "address": digest(examination.address) if examination.address else "",
        "checks": [_check(each) for each in examination.results],
        "left": list(examination.left),
    }


def _check(result: Result) -> dict[str, Any]:
    check, finding = result.check, result.finding
    return {
        "id": check.id,
        "title": check.title,
        "page": check.page,
        "how": check.how,
        "verdict": finding.verdict.value,
        "sentence": finding.sentence,
        "error": result.error,
        "settings": [{"plugin": e.plugin, "setting": e.setting, "value": e.value} for e in finding.changes],
        "to_do": finding.todo,
    }
