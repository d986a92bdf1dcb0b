"""The audit of dependencies: what it makes of what pip-audit says."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys

import pytest
from support import ROOT

FOUND = [{"id": "PYSEC-2024-60", "aliases": ["CVE-2024-3651"], "fix_versions": ["3.7"]}]
KNOWN = {"name": "idna", "version": "3.6", "vulns": FOUND}
CLEAN = {"name": "requests", "version": "2.32.0", "vulns": []}
SKIPPED = {"name": "idna", "skip_reason": "not found"}

FAKE = """#!{python}
import json, sys
answers = json.loads({answers!r})
known = "known.txt" in " ".join(sys.argv)
print(answers[0] if known else answers[1])
sys.exit(1)
"""


@pytest.mark.parametrize(
    ("known_and_locked", "code", "told"),
    [
        (([KNOWN], [CLEAN]), 0, "1 packages, 0 known"),
        (([KNOWN], [CLEAN, SKIPPED]), 0, "Not known to PyPI: idna"),
        (([KNOWN], [CLEAN, KNOWN]), 1, "idna 3.6: PYSEC-2024-60, mended in 3.7"),
        (([SKIPPED], [CLEAN]), 0, "Audit skipped"),
        ((None, None), 0, "Audit skipped"),
        (([KNOWN], None), 1, "does not understand"),
    ],
)
def test_audit(tmp_path, capsys, known_and_locked, code, told):
    answers = ["" if each is None else json.dumps({"dependencies": each}) for each in known_and_locked]
    fake = tmp_path / "bin" / "pip-audit"
    fake.parent.mkdir()
    fake.write_text(FAKE.format(python=sys.executable, answers=json.dumps(answers)))
    fake.chmod(0o755)
    audit = runpy.run_path(str(ROOT / "scripts" / "audit.py"))
    assert audit["main"](str(tmp_path)) == code
    assert told in capsys.readouterr().out


def test_without_pip_audit_nothing_is_known(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "audit.py", tmp_path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Audit skipped" in done.stdout
