"""The Dataverse Web API: GET, and pages of rows (Dataverse page 2)."""

from __future__ import annotations

import decimal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urljoin

import msgspec
import requests

from annex_d365 import http
from annex_d365.dataverse.errors import explain
from annex_d365.dataverse.query import Query
from annex_d365.dataverse.signin import SignIn
from annex_d365.errors import ServiceError, SettingError

#: The service's own default and maximum (Dataverse page 2.3).
MAX_PAGE_SIZE = 5000

_HEADERS = {
    "Accept": "application/json",
    "OData-MaxVersion": "4.0",
    "OData-Version": "4.0",
    "If-None-Match": "null",
}

#: The version of a row, in the row (Dataverse page 2.3).
ETAG = "@odata.etag"

Row = dict[str, Any]


class Page(msgspec.Struct):
    """A reply that holds rows. Numbers with a fraction are exact (``Decimal``)."""

    value: list[Row]
    next_link: str | None = msgspec.field(default=None, name="@odata.nextLink")


_page = msgspec.json.Decoder(Page, float_hook=decimal.Decimal)
_object = msgspec.json.Decoder(Row, float_hook=decimal.Decimal)


class Dataverse:
    """One organisation. Safe for threads.

    Args:
        organization_url: scheme and authority.
        sign_in: signs requests.
        api_version: ``9.2``.
        ca_bundle: certificates to trust instead of the usual ones.
    """

    def __init__(
        self, organization_url: str, sign_in: SignIn, *, api_version: str = "9.2", ca_bundle: str | None = None
    ) -> None:
        self.root = f"{organization_url}/api/data/v{api_version}/"
        self._sign_in = sign_in
        self.http = http.Client("Dataverse", host_setting="organization_url", ca_bundle=ca_bundle)

    def get(self, url: str, prefer: Sequence[str] = ()) -> Row:
        """One object, or a collection as an object with ``value``. ``url`` is relative to the API's root."""
        row: Row = self._read(url, prefer, _object)
        return row

    def pages(self, query: Query, page_size: int = MAX_PAGE_SIZE) -> Iterator[Page]:
        """The pages of a query, in order. The next one is fetched while the caller works on this one.

        Raises:
            ServiceError: the service refused, or its links turn in a circle.
        """
        # $top and a page size exclude each other (Dataverse page 2.3).
        prefer = () if query.top else (f"odata.maxpagesize={page_size}",)
        with ThreadPoolExecutor(1, "page") as ahead:
            url, seen = query.url, set[str]()
            pending = ahead.submit(self._read, url, prefer, _page)
            while True:
                page: Page = pending.result()
                if page.next_link:
                    if page.next_link in seen:
                        raise ServiceError(f"Dataverse repeats a page of {query.entity_set}; its links go in a circle.")
                    seen.add(page.next_link)
                    pending = ahead.submit(self._read, page.next_link, prefer, _page)
                yield page
                if not page.next_link:
                    return

    def _read(self, url: str, prefer: Sequence[str], decoder: msgspec.json.Decoder[Any]) -> Any:
        # The link is absolute. SignIn refuses to sign it for another origin; before that, requests must not go there.
        absolute = urljoin(self.root, url)
        if http.origin(absolute) != http.origin(self.root):
            raise SettingError("organization_url", "the service pointed to another host; nothing was sent there.")

        def check(response: requests.Response) -> Any:
            return decoder.decode(response.content)

        headers: Mapping[str, str] = {**_HEADERS, "Prefer": ",".join(prefer)} if prefer else _HEADERS
        return self.http.send("GET", absolute, auth=self._sign_in, explain=explain, check=check, headers=headers)
