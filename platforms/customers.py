"""Somebody else's tap with a list of customers, before target-annex and target-d365: written, changed, deleted."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any, Protocol

from platforms.environments import ours
from platforms.pipes import pipe
from platforms.result import Failure, Result, expect, same
from platforms.world import Row, World

_COUNT = 30
STREAM = "customers"
#: Columns of the list, in its order.
COLUMNS = (
    "loyalty_no",
    "email",
    "first_name",
    "last_name",
    "phone",
    "birth_date",
    "postcode",
    "updated_at",
    "deleted_at",
)
#: Fields of a member, and columns of a contact, as the setting `streams` names them.
MEMBER = {
    "id": "loyalty_no",
    "email": "email",
    "firstName": "first_name",
    "lastName": "last_name",
    "phone": "phone",
    "birthDate": "birth_date",
    "zipCode": "postcode",
}
CONTACT = {
    "cr0dd_loyaltyid": "loyalty_no",
    "emailaddress1": "email",
    "firstname": "first_name",
    "lastname": "last_name",
    "mobilephone": "phone",
    "birthdate": "birth_date",
    "address1_postalcode": "postcode",
}


class Source(Protocol):
    """Somebody else's tap, with the list where it reads it.

    Attributes:
        versions: of what is not ours.
    """

    versions: Mapping[str, str]

    def write(self, customers: list[Row]) -> None:
        """Make the list be these rows."""

    def command(self) -> list[str]:
        """The words of the tap, with its settings; without catalog and state."""


#: Stream map of the tap: the stream's name, and the column that tells the target of deletions.
STREAM_MAP = {"__alias__": STREAM, "_sdc_deleted_at": "deleted_at"}


def show(world: World, source: Source) -> Result:
    """Everything that the page says. Raises ``Failure``."""
    pipelines = {
        "target-annex": world.file(
            "target-annex.json",
            world.target_annex(enrol="all", streams={STREAM: {"object": "members", "fields": MEMBER}}),
        ),
        "target-d365": world.file(
            "target-d365.json", world.target_d365(streams={STREAM: {"object": "contacts", "fields": CONTACT}})
        ),
    }
    customers = [_customer(number) for number in range(_COUNT)]
    source.write(customers)
    _run(world, source, pipelines)
    rows = _compare(world, customers)

    customers[3] |= {"last_name": "Åström", "updated_at": "2026-02-01T00:00:00"}
    customers[4] |= {"deleted_at": "2026-02-01T00:00:00", "updated_at": "2026-02-01T00:00:00"}
    customers.append({**_customer(_COUNT), "updated_at": "2026-02-01T00:00:00"})
    source.write(customers)
    said = _run(world, source, pipelines)
    rows += _compare(world, customers)
    expect(world.member("CU0004")["optInStatus"] == "NO", "the member of a deleted customer is opted in")
    expect("1 created, 1 updated" in said["target-annex"], f"target-annex: {_report(said['target-annex'])}")
    return Result(source.versions, rows, ("changes only", "deletion"))


def _customer(number: int) -> Row:
    return {
        "loyalty_no": f"CU{number:04}",
        "email": f"customer{number}@shop.example.com",
        "first_name": ("Zoë", "Ann", "李")[number % 3],
        "last_name": f"Buyer {number}",
        "phone": f"+4930555{number:04}",
        "birth_date": f"19{50 + number}-0{number % 9 + 1}-15",
        "postcode": f"0{1000 + number}",
        "updated_at": "2026-01-01T00:00:00",
        "deleted_at": None,
    }


def _run(world: World, source: Source, pipelines: Mapping[str, Any]) -> dict[str, str]:
    """What each target said."""
    said = {}
    words = source.command()
    for target, config in pipelines.items():
        discovered = subprocess.run(  # noqa: S603 - our own command
            [*words, "--discover"], capture_output=True, text=True, check=False, env=world.environment()
        )
        if discovered.returncode:
            raise Failure(f"--discover: {discovered.stderr[-400:]}")
        catalog = json.loads(discovered.stdout)
        catalog["streams"] = [each for each in catalog["streams"] if each["tap_stream_id"].endswith(STREAM)]
        for each in catalog["streams"]:
            # A tap that reads files has a key of its own.
            key = each.get("replication_key") or "updated_at"
            each |= {"replication_method": "INCREMENTAL", "replication_key": key}
            root = next(found["metadata"] for found in each["metadata"] if not found["breadcrumb"])
            root |= {"selected": True, "replication-method": "INCREMENTAL", "replication-key": key}
        state = world.directory / f"state-{target}.json"
        full = [*words, "--catalog", str(world.file("catalog.json", catalog))]
        full += ["--state", str(state)] if state.exists() else []
        printed = pipe(
            full,
            [ours(target), "--config", str(config)],
            directory=world.directory,
            environment=world.environment(),
        )
        expect(printed, f"{target} printed no state: {_report((world.directory / 'target.log').read_text())}")
        state.write_text(printed)
        said[target] = (world.directory / "target.log").read_text()
    return said


def _compare(world: World, customers: list[Row]) -> int:
    """Members and contacts against the list; what is deleted is left as it was."""
    alive = [each for each in customers if not each["deleted_at"]]
    members = {each["loyalty_no"]: {name: each[column] for name, column in MEMBER.items()} for each in alive}
    contacts = {each["loyalty_no"]: {name: each[column] for name, column in CONTACT.items()} for each in alive}
    found = world.rows("contacts", "contactid", *CONTACT, where="startswith(cr0dd_loyaltyid,'CU')")
    there = {row["cr0dd_loyaltyid"]: row for row in found.values() if row["cr0dd_loyaltyid"] in contacts}
    return same({key: world.member(key) for key in members}, members, "members") + same(there, contacts, "contacts")


def _report(log: str) -> str:
    return " / ".join(line for line in log.splitlines() if "created" in line or "rejected" in line)[-400:]
