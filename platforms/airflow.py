"""Apache Airflow 3 runs the DAGs of ``orchestrate/dags`` (docs/platforms/airflow.md)."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

from platforms.environments import OURS, ROOT, environment
from platforms.result import Failure, Result, expect, same
from platforms.world import World

_SHARDS = 3
_SECONDS = 300


class Airflow:
    """With a database of its own, and a copy of the Meltano project."""

    def __init__(self, world: World) -> None:
        self._world, self._installed = world, environment("airflow")
        self.project = world.directory / "project"
        self.project.mkdir()
        shutil.copy(ROOT / "meltano.yml", self.project)
        info = world.info
        dynamics = {"ORGANIZATION_URL": info["url"], "AUTH_ENDPOINT_URL": info["auth_endpoint_url"]}
        settings = {f"TAP_D365_{name}": value for name, value in dynamics.items()}
        settings |= {f"TARGET_D365_{name}": value for name, value in dynamics.items()}
        settings |= {f"{plugin}_BASE_URL": info["annex"]["base_url"] for plugin in ("TAP_ANNEX", "TARGET_ANNEX")}
        for plugin in ("TAP_D365", "TARGET_D365", "TAP_ANNEX", "TARGET_ANNEX"):
            settings[f"{plugin}_CA_BUNDLE"] = info["ca_bundle"]
        for plugin in ("TARGET_D365", "TARGET_ANNEX"):
            settings[f"{plugin}_LEDGER_URL"] = f"sqlite:///{world.directory}/ledger.db"
            settings[f"{plugin}_REJECTS_PATH"] = f"{world.directory}/{plugin.lower()}.singer"
        site = info["annex"]
        self.environment = {
            **world.environment(),
            **settings,
            # A second region, with the only organisation and site that there are.
            "D365_ORGANIZATION_URL_R1": info["url"],
            **{f"ANNEX_{name.upper()}_R1": site[name] for name in ("site_id", "site_name", "secret_key")},
            "MELTANO_ENVIRONMENT": "sandbox",
            "ANNEX_D365_PROJECT": str(self.project),
            "ANNEX_D365_BIN": str(OURS),
            "ANNEX_D365_REGIONS": "default,r1",
            "AIRFLOW_HOME": str(world.directory / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "orchestrate" / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        }

    def versions(self) -> dict[str, str]:
        """Of Airflow."""
        return self._installed.versions("apache-airflow")

    def __call__(self, *words: str) -> str:
        """What a command of Airflow prints. Raises ``Failure``."""
        done = subprocess.run(  # noqa: S603 - our own command
            [self._installed.program("airflow"), *words],
            env=self.environment,
            cwd=self._world.directory,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        if done.returncode:
            raise Failure(f"airflow {' '.join(words[:2])}: {(done.stdout + done.stderr).strip()[-600:]}")
        return done.stdout + done.stderr if words[:2] == ("dags", "test") else done.stdout

    def test(self, dag: str, **params: Any) -> str:
        """Run a DAG to its end. Raises ``Failure`` unless all of its tasks end well."""
        words = ("--conf", json.dumps(params)) if params else ()
        said = self("dags", "test", dag, *words)
        expect("state=success" in said or "DagRunState.SUCCESS" in said, f"{dag}: {said[-600:]}")
        return said


def run(world: World) -> Result:
    """The row of the table."""
    airflow = Airflow(world)
    airflow("db", "migrate")
    errors = airflow("dags", "list-import-errors", "--local", "--output", "json")
    expect(_json(errors) == [], f"import errors: {errors[-400:]}")
    known = {each["dag_id"] for each in _json(airflow("dags", "list", "--local", "--output", "json"))}
    expect({"contacts-to-annex", "full-sync", "annex-d365-backfill"} <= known, f"DAGs: {sorted(known)}")
    tasks = airflow("tasks", "list", "contacts-to-annex").split()
    expect({"contacts-to-annex", "contacts-to-annex-r1"} <= set(tasks), f"tasks: {tasks}")

    loyal = world.rows(
        "contacts", "contactid", "cr0dd_loyaltyid", "firstname", where="cr0dd_loyaltyid ne null and statecode eq 0"
    )
    airflow.test("contacts-to-annex")
    names = {row["cr0dd_loyaltyid"]: {"firstName": row["firstname"]} for row in loyal.values() if row["firstname"]}
    rows = same({member: world.member(member) for member in names}, names, "members")
    said = airflow.test("annex-d365-backfill", shards=_SHARDS)
    mapped = {number for number in range(_SHARDS) if f"map_index={number}" in said}
    expect(len(mapped) == _SHARDS, f"mapped tasks: {sorted(mapped)}")
    return Result(airflow.versions(), rows, ("regions", f"{_SHARDS} shards"))


def _json(said: str) -> Any:
    """The list that a command printed last, after its warnings."""
    return json.loads(said[said.index("\n[") + 1 :] if "\n[" in said else said[said.index("[") :])
