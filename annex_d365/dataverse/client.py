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
from annex_d365.dataverse.batch import MAX_URL, MAX_URL_IN_BATCH, batch_of, explain_batch, only_reply
from annex_d365.dataverse.errors import explain
from annex_d365.dataverse.query import Query
from annex_d365.dataverse.signin import SignIn
from annex_d365.errors import ConnectorError, ServiceError, SettingError

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


class RawPage(msgspec.Struct):
    """A reply that holds rows, not yet decoded: most of the time goes into that, and only the used ones need it."""

    value: list[msgspec.Raw]
    next_link: str | None = msgspec.field(default=None, name="@odata.nextLink")
    #: Bytes of the reply, before it was decoded.
    size: int = msgspec.field(default=0, name="(size)")


_page = msgspec.json.Decoder(RawPage)
# Numbers with a fraction stay exact.
_object = msgspec.json.Decoder(Row, float_hook=decimal.Decimal)


class Dataverse:
    """One organisation. Safe for threads.

    Args:
        organization_url: scheme and authority.
        sign_in: signs requests.
        api_version: ``9.2``.
        ca_bundle: certificates to trust instead of the usual ones.
        parallel: most requests in flight.
    """

    def __init__(
        self,
        organization_url: str,
        sign_in: SignIn,
        *,
        api_version: str,
        ca_bundle: str | None = None,
        parallel: int = 1,
    ) -> None:
        self.root = f"{organization_url}/api/data/v{api_version}/"
        self._sign_in = sign_in
        #: Pages of rows, for the user to see that it goes on; threads may miscount by a few.
        self.pages_read = 0
        self.http = http.Client("Dataverse", host_setting="organization_url", ca_bundle=ca_bundle, parallel=parallel)

    def get(self, url: str, prefer: Sequence[str] = ()) -> Row:
        """One object, or a collection as an object with ``value``. ``url`` is relative to the API's root."""
        row: Row = self._read(url, prefer, _object)
        return row

    def ask_for_advice(self) -> None:
        """Learn how many requests at once the service advises: it says so to ``WhoAmI`` (Dataverse page 6)."""
        self.get("WhoAmI")

    def row_count(self, logical_name: str) -> int | None:
        """Rows of a table as of the last day (Dataverse page 2.2); None where the service does not say."""
        try:
            reply = self.get(f"RetrieveTotalRecordCount(EntityNames=['{logical_name}'])")
            return int(reply["EntityRecordCountCollection"]["Values"][0])
        except (ConnectorError, LookupError, TypeError, ValueError):
            return None

    def page(self, url: str, page_size: int | None = MAX_PAGE_SIZE, annotations: str = "") -> RawPage:
        """One page of rows, and where the next one is.

        Args:
            url: relative to the API's root, or a ``next_link``.
            page_size: rows; None with ``$top``, which excludes it (Dataverse page 2.3).
            annotations: names of annotations to send along, comma separated (Dataverse page 2.4).
        """
        prefer = [f"odata.maxpagesize={page_size}"] if page_size else []
        if annotations:
            prefer.append(f'odata.include-annotations="{annotations}"')
        page: RawPage = self._read(url, prefer, _page)
        self.pages_read += 1
        return page

    def row(self, raw: msgspec.Raw) -> Row:
        """A row of a page. Numbers with a fraction are exact (``Decimal``)."""
        row: Row = _object.decode(raw)
        return row

    def rows(self, query: Query, page_size: int = MAX_PAGE_SIZE, annotations: str = "") -> Iterator[Row]:
        """The rows of a query, in order. The next page is fetched while the caller works on this one.

        Raises:
            ServiceError: the service refused, or its links turn in a circle.
        """
        size = None if query.top else page_size
        with ThreadPoolExecutor(1, "page") as ahead:
            seen = set[str]()
            pending = ahead.submit(self.page, query.url, size, annotations)
            while True:
                page = pending.result()
                if page.next_link:
                    if page.next_link in seen:
                        raise ServiceError(f"Dataverse repeats a page of {query.entity_set}; its links go in a circle.")
                    seen.add(page.next_link)
                    pending = ahead.submit(self.page, page.next_link, size, annotations)
                yield from map(self.row, page.value)
                if not page.next_link:
                    return

    def _read(self, url: str, prefer: Sequence[str], decoder: msgspec.json.Decoder[Any]) -> Any:
        # The link is absolute. SignIn refuses to sign it for another origin; before that, requests must not go there.
        absolute = urljoin(self.root, url)
        if http.origin(absolute) != http.origin(self.root):
            raise SettingError("organization_url", "the service pointed to another host; nothing was sent there.")

        headers = {**_HEADERS, "Prefer": ",".join(prefer)} if prefer else _HEADERS
        if len(absolute) > MAX_URL:
            return self._read_in_batch(absolute, headers, decoder)
        return self.http.send(
            "GET",
            absolute,
            auth=self._sign_in,
            explain=explain,
            check=lambda response: _decode(decoder, response),
            headers=headers,
        )

    def _read_in_batch(self, url: str, headers: Mapping[str, str], decoder: msgspec.json.Decoder[Any]) -> Any:
        if len(url) > MAX_URL_IN_BATCH:
            raise SettingError("select", f"a query of {len(url)} characters is too long; select fewer columns.")
        body, content_type = batch_of(url, headers)
        return self.http.send(
            "POST",
            f"{self.root}$batch",
            auth=self._sign_in,
            explain=explain_batch,
            check=lambda response: _decode(decoder, only_reply(response)),
            headers={**_HEADERS, "Content-Type": content_type},
            body=body,
            repeatable=True,  # there is but a GET inside
        )


def _decode(decoder: msgspec.json.Decoder[Any], response: requests.Response) -> Any:
    value = decoder.decode(response.content)
    if isinstance(value, RawPage):
        value.size = len(response.content)
    return value
