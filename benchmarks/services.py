"""What all measured programs talk to: a sandbox with tables of two widths, and the cheap server before it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import requests

from annex_d365_sandbox.dataverse import columns as col
from annex_d365_sandbox.dataverse import schema
from annex_d365_sandbox.dataverse.schema import Attribute, Table
from annex_d365_sandbox.dataverse.tables import TABLES
from annex_d365_sandbox.sandbox import Sandbox

#: Columns of the two tables, as a row without ``$select`` has them.
NARROW, WIDE = 30, 260
NARROW_SET, WIDE_SET = "cr0dd_shoppers", "contacts"

_CONTACT = next(table for table in TABLES if table.logical_name == "contact")
#: What a loyalty programme reads of a contact, and what a table has anyway: 29 columns beside the key.
_SHOPPER = """
    firstname middlename lastname salutation jobtitle emailaddress1 emailaddress2 mobilephone telephone1
    address1_line1 address1_line2 address1_city address1_stateorprovince address1_postalcode address1_country
    address1_latitude address1_longitude birthdate gendercode donotemail donotbulkemail donotphone
    numberofchildren familystatuscode cr0dd_loyaltyid cr0dd_loyaltyenrol createdon modifiedon versionnumber
""".split()
#: The same of the wide table, with its key.
SELECTION = ("contactid", *_SHOPPER)
#: Of the columns that make the wide table wide, one in so many holds a value.
_FILLED = 4
_KINDS = (
    lambda name: col.text(name, 100),
    col.integer,
    col.boolean,
    col.datetime,
    col.decimal,
    lambda name: col.choice(name, {1: "One", 2: "Two"}),
    col.memo,
    col.date,
)
_VALUES: Mapping[schema.Kind, Any] = {
    schema.STRING: "Größe 38, naïve “quoted”",
    schema.INTEGER: 365,
    schema.BOOLEAN: 1,
    schema.DATETIME: "2025-05-05T05:05:05",
    schema.DECIMAL: 12_345,
    schema.PICKLIST: 2,
    schema.MEMO: "First line\nsecond line",
    schema.DATE: "2025-05-05",
}


def narrow_table() -> Table:
    """A table of :data:`NARROW` columns."""
    found = {each.name: each for each in _CONTACT.attributes}
    own = [found[name] for name in _SHOPPER]
    return Table(
        logical_name="cr0dd_shopper", set_name=NARROW_SET, schema_name="cr0dd_Shopper", label="Shopper", custom=True,
        object_type_code=10_900, primary_name="lastname",
        attributes=col.with_shadows((col.primary_id("cr0dd_shopperid"), *own)),
    )  # fmt: skip


def wide_table() -> Table:
    """Contacts with as many columns as those of an organisation that has been in use for years."""
    own = [each for each in _CONTACT.attributes if each.stored and not each.name.startswith("entityimage")]
    missing = WIDE - len(own)
    more = [replace(_KINDS[number % len(_KINDS)](f"cr0dd_more{number:03}"), custom=True) for number in range(missing)]
    return replace(_CONTACT, attributes=col.with_shadows((*own, *more)))


def _fill(sandbox: Sandbox, narrow: Table, wide: Table) -> None:
    rng = random.Random(7)  # noqa: S311 - the same rows each time
    extra = [each for each in wide.by_name.values() if each.name.startswith("cr0dd_more")]
    columns = [name for name in narrow.by_name if name != narrow.primary_id]
    shoppers = []
    for row in list(sandbox.organisation.rows("contact")):
        values = {each.name: _value(each, rng) for each in extra if rng.randrange(_FILLED) == 0}
        sandbox.organisation.update("contact", row["contactid"], values)
        shopper = {name: row[name] for name in columns}
        shoppers.append({narrow.primary_id: str(UUID(int=rng.getrandbits(128))), **shopper})
    sandbox.organisation.put(narrow.logical_name, shoppers)


def _value(attribute: Attribute, rng: random.Random) -> Any:
    value = _VALUES[attribute.kind]
    return f"{value} {rng.randrange(1000)}" if attribute.kind is schema.STRING else value


@dataclass
class Services:
    """The running services.

    Attributes:
        url: the server's address: organisation, and Annex Cloud site under ``/api/3.0``.
        info: the sandbox's, with credentials and where to sign in.
        token: a bearer token; the server takes any.
    """

    url: str
    info: Mapping[str, Any]
    token: str

    def set(self, **options: float) -> None:
        """``rows`` of each table; ``latency`` in seconds."""
        requests.get(f"{self.url}/_bench/set?{urlencode(options)}", timeout=60).raise_for_status()

    def stats(self) -> dict[str, float]:
        """Requests, bytes and CPU seconds of the server so far."""
        answer: dict[str, float] = requests.get(f"{self.url}/_bench/stats", timeout=60).json()
        return answer

    @property
    def organisation(self) -> dict[str, Any]:
        """The settings by which tap-d365 and the target reach the organisation."""
        credentials = self.info["credentials"]
        return {
            "organization_url": self.url,
            "resource": self.info["url"],
            "auth_endpoint_url": self.info["auth_endpoint_url"],
            "client_id": credentials["client_id"],
            "client_secret": credentials["client_secret"],
            "ca_bundle": self.info["ca_bundle"],
        }

    @property
    def site(self) -> dict[str, Any]:
        """The settings by which the target reaches the Annex Cloud site."""
        return {**self.info["annex"], "base_url": f"{self.url}/api/3.0"}


def _token(info: Mapping[str, Any]) -> str:
    """A bearer token for the sandbox's organisation, by the client credentials flow."""
    given = info["credentials"]
    form = {
        "grant_type": "client_credentials", "client_id": given["client_id"], "client_secret": given["client_secret"],
        "scope": f"{info['url']}/.default",
    }  # fmt: skip
    url = f"{info['http_url']}/{given['tenant_id']}/oauth2/v2.0/token"
    reply = requests.post(url, data=form, timeout=60)
    reply.raise_for_status()
    return str(reply.json()["access_token"])


@contextmanager
def services() -> Iterator[Services]:
    """Start both, and stop them at the end."""
    with Sandbox(contacts=320, http_port=0) as sandbox:
        narrow, wide = narrow_table(), wide_table()
        sandbox.organisation.define(narrow)
        sandbox.organisation.define(wide)
        _fill(sandbox, narrow, wide)
        tables = {table.set_name: table.primary_id for table in (narrow, wide)}
        token = _token(sandbox.info)
        command = [sys.executable, "-m", "benchmarks.server", sandbox.info["http_url"], json.dumps(tables), token]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdin
            assert server.stdout
            url = server.stdout.readline().strip()
            try:
                yield Services(url, sandbox.info, token)
            finally:
                server.stdin.close()
