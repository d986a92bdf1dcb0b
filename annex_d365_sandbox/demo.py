"""``make demo``: contacts of a Dynamics 365 organisation become members of a loyalty programme."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from annex_d365_sandbox.sandbox import Sandbox

JOB = "contacts-to-annex"
CONTACTS = 2000
#: A member's field and the contact's column that it comes from.
FIELDS = {
    "id": "cr0dd_loyaltyid",
    "firstName": "firstname",
    "lastName": "lastname",
    "email": "emailaddress1",
    "phone": "mobilephone",
    "birthDate": "birthdate",
    "zipCode": "address1_postalcode",
    "optInStatus": "",
}
_SUMMARY = re.compile(r"contacts: \d+ created.*")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
Member = Mapping[str, Any]


class Demo:
    """The sandbox, and Meltano pointed at it."""

    def __init__(self, sandbox: Sandbox, directory: Path) -> None:
        self.sandbox = sandbox
        info = sandbox.info
        plugins = {
            "TAP_D365_ORGANIZATION_URL": info["url"],
            "TAP_D365_AUTH_ENDPOINT_URL": info["auth_endpoint_url"],
            "TAP_D365_CA_BUNDLE": info["ca_bundle"],
            "TARGET_ANNEX_BASE_URL": info["annex"]["base_url"],
            "TARGET_ANNEX_CA_BUNDLE": info["ca_bundle"],
            "TARGET_ANNEX_REJECTS_PATH": str(directory / "rejects.singer"),
            "TARGET_ANNEX_LEDGER_URL": f"sqlite:///{directory / 'ledger.db'}",
        }
        self.environment = {
            **os.environ,
            **plugins,
            # Each demo has a state of its own, so that the next one starts from nothing, too.
            "MELTANO_STATE_BACKEND_URI": (directory / "state").as_uri(),
            "MELTANO_DATABASE_URI": f"sqlite:///{directory / 'meltano.db'}",
            "MELTANO_ENVIRONMENT": "sandbox",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
            "NO_COLOR": "1",
        }

    def run(self) -> list[tuple[str, str]]:
        """``meltano run``; the writes that Annex Cloud saw, as method and path."""
        self.sandbox.control.log.clear()
        click.echo(f"$ meltano run {JOB}")
        started = time.monotonic()
        done = subprocess.run(  # noqa: S603 - a command of our own
            ["meltano", "run", JOB],  # noqa: S607 - from the environment that runs this
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        output = _ANSI.sub("", done.stdout + done.stderr)
        if done.returncode:
            click.echo(output)
            raise click.ClickException(f"meltano run ended with exit code {done.returncode}")
        summary = _SUMMARY.search(output)
        click.echo(f"  {summary[0] if summary else 'no summary'} · {time.monotonic() - started:.1f} s")
        return self.writes()

    def writes(self) -> list[tuple[str, str]]:
        """Requests to Annex Cloud that change something."""
        return [
            (each["method"], each["path"])
            for each in self.sandbox.control.log.entries()
            if each["path"].startswith("/api/3.0/")
            and each["method"] != "GET"
            and not each["path"].endswith("/users/search")
        ]

    def members(self) -> dict[str, Member]:
        """All members, by id."""
        return {member["id"]: member for member in self.sandbox.site.members()}

    def count(self) -> None:
        """What both sides hold."""
        contacts = list(self.sandbox.organisation.rows("contact"))
        linked = sum(1 for contact in contacts if contact["cr0dd_loyaltyid"])
        inactive = sum(1 for contact in contacts if contact["statecode"])
        members = self.members().values()
        opted_out = sum(1 for member in members if member["optInStatus"] == "NO")
        click.echo(f"  Dynamics 365: {len(contacts)} contacts, {linked} with a loyalty id, {inactive} inactive")
        click.echo(f"  Annex Cloud:  {len(members)} members, {opted_out} of them opted out")

    def beside(self, member_id: str, before: Member | None) -> None:
        """One member beside the contact, and as the member was before."""
        after = self.sandbox.site.member(member_id) or {}
        contact = next(
            row
            for row in self.sandbox.organisation.rows("contact")
            if member_id in (row["cr0dd_loyaltyid"], row["emailaddress1"])
        )
        click.echo(f"  {'':12} {'contact':32} {'member before':32} member after")
        for field, column in FIELDS.items():
            values = (contact.get(column), (before or {}).get(field), after.get(field))
            shown = [f"{'' if value is None else str(value)[:31]:32}" for value in values]
            changed = "  <- new" if before and values[1] != values[2] else ""
            click.echo(f"  {field:12} {' '.join(shown).rstrip()}{changed}")
        click.echo()


@contextmanager
def _section(title: str) -> Iterator[None]:
    click.secho(f"\n{title}", bold=True)
    yield


def main() -> None:
    """Run the demo; exit code 1 if something is not as promised."""
    with tempfile.TemporaryDirectory(prefix="annex-d365-") as name:
        directory = Path(name)
        with Sandbox(directory=directory, port=0, contacts=CONTACTS) as sandbox:
            show(Demo(sandbox, directory))


def show(demo: Demo) -> None:
    """The story, in order."""
    organisation = demo.sandbox.organisation
    before = demo.members()
    with _section(f"Before (sandbox at {demo.sandbox.info['url']})"):
        demo.count()
    with _section("First run: everything"):
        writes = demo.run()
        demo.count()
    with _section("Three of the members that changed, beside their contacts"):
        after = demo.members()
        changed = [
            member for member, was in before.items() if any(was.get(name) != after[member].get(name) for name in FIELDS)
        ]
        created = [member for member in after if member not in before]
        for member_id in [*changed[:2], *created[:1]]:
            demo.beside(member_id, before.get(member_id))
    with _section("Second run: five contacts were edited in Dynamics 365"):
        edited = [row for row in organisation.rows("contact") if row["cr0dd_loyaltyid"] and not row["statecode"]][:5]
        for number, row in enumerate(edited):
            organisation.update("contact", row["contactid"], {"mobilephone": f"+49 30 555 {number:04}"})
        writes = demo.run()
        for method, path in writes:
            click.echo(f"  {method} {path}")
        expected = sorted(("PATCH", f"/api/3.0/users/{row['cr0dd_loyaltyid']}") for row in edited)
        _promise(sorted(writes) == expected, "exactly those five travelled")
    with _section("Third run: nothing was edited"):
        _promise(not demo.run(), "nothing was written twice")


def _promise(kept: bool, what: str) -> None:  # noqa: FBT001 - reads as a sentence where it is called
    if not kept:
        raise click.ClickException(f"It is not true that {what}.")
    click.secho(f"  {what}", fg="green")


if __name__ == "__main__":
    try:
        main()
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
