"""What is written from the code is what the code says now."""

from __future__ import annotations

import importlib.util
import re

import pytest
from support import ROOT

DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]

spec = importlib.util.spec_from_file_location("tables", ROOT / "scripts" / "tables.py")
tables = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tables)


@pytest.fixture(scope="module")
def wanted():
    return tables.current()


def test_tables_are_current(wanted):
    assert {path.name for path in wanted} >= {"README.md", "meltano.yml", "tap-d365.md", "target-annex.md"}
    stale = [path.name for path, text in wanted.items() if path.read_text(encoding="utf-8") != text]
    assert not stale, "run `make docs`"


@pytest.mark.parametrize("plugin", tables.PLUGINS)
def test_secrets_are_sensitive(plugin):
    """What looks like a secret is declared as one, and so is masked by Meltano."""
    for name, rule in tables.settings_of(plugin).items():
        looks_secret = any(word in name for word in ("secret", "password", "ledger_url"))
        assert bool(rule.get("secret")) == looks_secret, name


def test_a_missing_mark_is_told():
    with pytest.raises(ValueError, match="not found"):
        tables.between("text", "<!-- a -->", "<!-- b -->", iter(["x"]))


def test_documents_name_tests_that_are_there():
    sources = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / "tests").rglob("*.py")}
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for path in re.findall(r"`(tests/[\w/]+\.py)`", text):
            assert path in sources, path
        for name in re.findall(r"`(test_\w+)`", text):
            assert any(f"def {name}(" in source for source in sources.values()), name


def anchors(text):
    """The anchors of a document's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document):
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        there = (document.parent / path).resolve() if path else document
        assert there.exists(), link
        if anchor:
            assert anchor in anchors(there.read_text(encoding="utf-8")), link
