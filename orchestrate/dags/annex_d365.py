"""The jobs of meltano.yml as DAGs of Apache Airflow 3, and a backfill whose shards are mapped tasks.

Airflow's environment needs neither Meltano nor our plugins: tasks call `meltano run` of the project's own environment.
Settings are environment variables of the scheduler, DAG processor and workers (docs/platforms/airflow.md).
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from airflow.providers.standard.operators.bash import BashOperator  # type: ignore[import-not-found]
from airflow.sdk import DAG, Param, get_current_context, task  # type: ignore[import-not-found]

#: The job of the plugins without a region.
DEFAULT_REGION = "default"
_REGIONAL = re.compile(r"(?P<job>.+)-(?P<region>r\d+)")
#: Where meltano.yml is.
PROJECT = Path(os.environ.get("ANNEX_D365_PROJECT") or Path(__file__).resolve().parents[2])
#: Where `meltano` and `annex-d365` are.
PROGRAMS = Path(os.environ.get("ANNEX_D365_BIN") or PROJECT / ".venv" / "bin")
REGIONS = os.environ.get("ANNEX_D365_REGIONS", DEFAULT_REGION).split(",")
SHARDS_AT_ONCE = int(os.environ.get("ANNEX_D365_SHARDS_AT_ONCE", "1"))
#: A run that others of its region keep waiting for longer has failed.
WAIT_SECONDS = 3000

ENVIRONMENT = {
    "MELTANO_ENVIRONMENT": os.environ.get("MELTANO_ENVIRONMENT", "prod"),
    "PATH": f"{PROGRAMS}{os.pathsep}{os.environ.get('PATH', '')}",
}
COMMON: dict[str, Any] = {
    "start_date": datetime(2026, 1, 1, tzinfo=timezone.utc),
    # State says where a run goes on: there is nothing to catch up with.
    "catchup": False,
    "max_active_runs": 1,
    "default_args": {"retries": 2, "retry_delay": timedelta(minutes=5)},
    "tags": ["annex-d365"],
}
BASH: dict[str, Any] = {"env": ENVIRONMENT, "append_env": True, "cwd": str(PROJECT)}


@dataclass(frozen=True)
class Job:
    """A job with its variants.

    Attributes:
        name: without a region.
        schedule: as cron has it, or ``@hourly``; ``None`` without one.
        regions: region -> name of the job in ``meltano.yml``.
    """

    name: str
    schedule: str | None
    regions: Mapping[str, str]


def jobs(project: Mapping[str, Any], regions: Sequence[str] = (DEFAULT_REGION,)) -> list[Job]:
    """The jobs of some regions, in the order of ``meltano.yml``; those that no region has are left out.

    Args:
        project: what ``meltano.yml`` holds.
        regions: of ``default``, ``r1``, ``r2``, ...
    """
    schedules = {each["job"]: each["interval"] for each in project.get("schedules", ()) if "job" in each}
    names = [each["name"] for each in project.get("jobs", ())]
    variants: dict[str, dict[str, str]] = {}
    for name in names:
        found = _REGIONAL.fullmatch(name)
        regional = found is not None and found["job"] in names
        job, region = (found["job"], found["region"]) if found and regional else (name, DEFAULT_REGION)
        if region in regions:
            variants.setdefault(job, {})[region] = name
    return [Job(job, schedules.get(job), names_of) for job, names_of in variants.items()]


def in_turn(region: str, command: str) -> str:
    """The command, one at a time in each region: two jobs that write to one side get into each other's way."""
    lock = ".meltano/turn" + ("" if region == DEFAULT_REGION else f"-{region}")
    return f"mkdir -p .meltano && flock -w {WAIT_SECONDS} {lock} {command}"


with (PROJECT / "meltano.yml").open() as project_file:
    JOBS = jobs(yaml.safe_load(project_file), REGIONS)

for job in JOBS:
    with DAG(job.name, schedule=job.schedule, description=f"meltano run {job.name}", **COMMON):
        for region, name in job.regions.items():
            BashOperator(task_id=name, bash_command=in_turn(region, f"meltano run {shlex.quote(name)}"), **BASH)

PARAMS = {
    "table": Param("contacts", type="string", description="Entity set that is divided"),
    "shards": Param(4, type="integer", minimum=1, maximum=1000),
    "tap": Param("tap-d365--contacts", type="string", pattern="^tap-d365[a-z0-9-]*$"),
    "target": Param("target-annex", type="string", pattern="^target-[a-z0-9-]+$"),
}

with DAG("annex-d365-backfill", schedule=None, description="Read a large table in shards", params=PARAMS, **COMMON):

    @task  # type: ignore[untyped-decorator]
    def plan() -> list[dict[str, str]]:
        """Variables of each shard, of what `annex-d365 plan` says."""
        params = get_current_context()["params"]
        words = ["annex-d365", "plan", "--table", params["table"], "--shards", str(params["shards"])]
        done = subprocess.run(  # noqa: S603 - the project's own command
            [PROGRAMS / words[0], *words[1:]],
            cwd=PROJECT,
            env={**os.environ, **ENVIRONMENT},
            stdout=subprocess.PIPE,
            check=True,
        )
        shards = [json.loads(line) for line in done.stdout.splitlines() if line.strip()]
        setting = params["tap"].replace("-", "_").upper() + "_SHARD"
        return [{setting: json.dumps(shard), "SHARD": str(n)} for n, shard in enumerate(shards, 1)]

    # Variables of a mapped task are its own: what all share comes from the process.
    BashOperator.partial(
        task_id="shard",
        bash_command="meltano run --state-id-suffix=shard$SHARD {{ params.tap }} {{ params.target }}",
        append_env=True,
        cwd=str(PROJECT),
        max_active_tis_per_dagrun=SHARDS_AT_ONCE,
    ).expand(env=plan().map(lambda shard: {**ENVIRONMENT, **shard}))
