"""An organisation of Dynamics 365 as its checks see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any
from urllib.parse import urljoin

import msgspec
import requests
from requests.auth import AuthBase

from annex_d365.dataverse.client import Dataverse, Row
from annex_d365.dataverse.connect import DEFAULT_API_VERSION, connect
from annex_d365.dataverse.errors import hexadecimal
from annex_d365.dataverse.metadata import Table, read_tables
from annex_d365.dataverse.query import Query
from annex_d365.dataverse.segments.choice import AUTO
from annex_d365.dataverse.segments.generations import GENERATIONS, Generation
from annex_d365.doctor.model import CannotTellError
from annex_d365.doctor.sides import Side
from annex_d365.doctor.wire import Answer, ask
from annex_d365.fields import DEFAULT_PREFIX, MEMBER_ID
from annex_d365.plugin_settings import Settings
from annex_d365.provision import loyalty_tables

CONTACT, CONTACTS = "contact", "contacts"
#: A row that no table has.
NO_ROW = "00000000-0000-0000-0000-000000000000"
_ALL_TABLES = "*"
_HEADERS = {"Accept": "application/json", "OData-MaxVersion": "4.0", "OData-Version": "4.0"}


class Nobody(AuthBase):
    """Signs nothing."""

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """The request as it is."""
        return r


class Organisation(Side):
    """One organisation.

    Args:
        plugins: settings of those that reach it.

    Raises:
        SettingError: a setting is missing or wrong.
    """

    def __init__(self, plugins: Mapping[str, Settings]) -> None:
        super().__init__(plugins)
        self.dataverse: Dataverse = connect(self.connection)
        self.api_version: str = self.setting("api_version", DEFAULT_API_VERSION)
        self.prefix: str = self.setting("column_prefix", DEFAULT_PREFIX)
        self.member_id_column: str = self.setting("member_id_column", MEMBER_ID.column(self.prefix))

    def get(
        self, url: str, route: str, prefer: Sequence[str] = (), *, auth: AuthBase | None = None, version: str = ""
    ) -> Answer:
        """The answer to a GET; ``url`` is relative to the API's root, of another ``version`` if that is given."""
        root = self.dataverse.root
        if version:
            root = urljoin(root, f"/api/data/v{version}/")
        headers = {**_HEADERS, "Prefer": ",".join(prefer)} if prefer else _HEADERS
        auth = auth or self.dataverse.sign_in
        return ask(self.dataverse.http, "GET", urljoin(root, url), f"GET {route}", auth, headers=headers)

    def send(
        self,
        method: str,
        url: str,
        route: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        repeatable: bool = True,
    ) -> Answer:
        """The answer to a request with a body."""
        return ask(
            self.dataverse.http,
            method,
            f"{self.dataverse.root}{url}",
            f"{method} {route}",
            self.dataverse.sign_in,
            headers={**_HEADERS, "Content-Type": "application/json", **(headers or {})},
            body=None if body is None else msgspec.json.encode(body),
            repeatable=repeatable,
        )

    @cached_property
    def activity_table(self) -> str:
        """Logical name of the table of loyalty activities."""
        return loyalty_tables(self.prefix)[1].logical_name

    @cached_property
    def names(self) -> list[str]:
        """Tables that the jobs use, by the names that settings have for them."""
        named = [each if isinstance(each, str) else each["name"] for each in self.setting_tables]
        return list(dict.fromkeys([CONTACT, *(each for each in named if each not in {CONTACTS, _ALL_TABLES})]))

    @property
    def setting_tables(self) -> Sequence[Any]:
        """The setting ``tables`` of tap-d365."""
        return self.setting("tables", [CONTACTS]) if self.having("tables") else []

    @cached_property
    def tables(self) -> dict[str, Table]:
        """The tables of :attr:`names`, the activities and both generations of segments, as far as they are there."""
        wanted = [*self.names, self.activity_table, *(each.logical_name for each in GENERATIONS)]
        return read_tables(self.dataverse, wanted)

    @property
    def contact(self) -> Table:
        """The table of contacts; every organisation has it."""
        return self.tables[CONTACT]

    @cached_property
    def generations(self) -> list[Generation]:
        """The generations of segments that are there, the preferred one first."""
        return [each for each in GENERATIONS if each.logical_name in self.tables]

    @property
    def generation(self) -> Generation | None:
        """The generation that the settings choose."""
        api = self.setting("segments_api", AUTO)
        return next((each for each in self.generations if api in {AUTO, each.name}), None)

    @property
    def used(self) -> dict[str, Table]:
        """Tables that the jobs read or write here, by logical name."""
        named = [*self.names, *([self.activity_table] if self.is_target else [])]
        found = [self.tables[each] for each in named if each in self.tables]
        if self.generation:
            found.append(self.tables[self.generation.logical_name])
        return {each.logical_name: each for each in found}

    def check_target(self) -> None:
        """Raises ``CannotTellError`` where nothing is written into this organisation."""
        if not self.is_target:
            raise CannotTellError("Nothing is written into this organisation.")

    def rows(self, query: Query) -> list[Row]:
        """The rows of one page."""
        return [self.dataverse.row(raw) for raw in self.dataverse.page(query.url, page_size=None).value]


def code_of(answer: Answer) -> str:
    """The service's own code, in hexadecimal; empty for none."""
    body = answer.body
    error = body.get("error") if isinstance(body, Mapping) else None
    return hexadecimal(error.get("code") or "") if isinstance(error, Mapping) else ""
