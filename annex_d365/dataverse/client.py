"""The Dataverse Web API: GET, and pages of rows (Dataverse page 2)."""

from __future__ import annotations

import decimal
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any
from urllib.parse import urljoin

import msgspec
import requests

from annex_d365 import http
from annex_d365.dataverse.answers import Answer, unreadable
from annex_d365.dataverse.batch import MAX_URL, MAX_URL_IN_BATCH, batch_of, explain_batch, only_reply
from annex_d365.dataverse.budget import MAX_PAGE_SIZE, PageSize
from annex_d365.dataverse.errors import explain
from annex_d365.dataverse.query import Query
from annex_d365.dataverse.signin import SignIn
from annex_d365.errors import ConnectorError, ServiceError, SettingError
from annex_d365.retry import IN_DOUBT

_HEADERS = {
    "Accept": "application/json",
    "OData-MaxVersion": "4.0",
    "OData-Version": "4.0",
    "If-None-Match": "null",
}

#: The version of a row, in the row (Dataverse page 2.3).
ETAG = "@odata.etag"

#: An action may fail for what it is asked about: after so few tries the caller finds out. 0 is for no answer at all.
TRIES_OF_ACTIONS = dict.fromkeys((0, *IN_DOUBT), 3)

#: Pages in memory while links are followed: one is worked on, one is fetched.
PAGES_OF_A_CHAIN = 2

Row = dict[str, Any]


class RawPage(msgspec.Struct):
    """A reply that holds rows, not yet decoded: most of the time goes into that, and only the used ones need it."""

    value: list[msgspec.Raw]
    next_link: str | None = msgspec.field(default=None, name="@odata.nextLink")
    delta_link: str | None = msgspec.field(default=None, name="@odata.deltaLink")
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

    @property
    def sign_in(self) -> SignIn:
        """Signs requests."""
        return self._sign_in

    def get(self, url: str, prefer: Sequence[str] = ()) -> Row:
        """One object, or a collection as an object with ``value``. ``url`` is relative to the API's root."""
        return Answer(self._read(url, prefer, _object))

    def ask(self, action: str, body: Mapping[str, Any]) -> Row:
        """What an unbound action answers. It must only read: like a GET, it is sent again when in doubt."""
        answer = self.http.send(
            "POST",
            f"{self.root}{action}",
            auth=self._sign_in,
            explain=explain,
            check=lambda response: _decode(_object, response),
            headers={**_HEADERS, "Content-Type": "application/json"},
            body=msgspec.json.encode(body),
            repeatable=True,
            most_tries=TRIES_OF_ACTIONS,
        )
        return Answer(answer)

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

    def page(
        self, url: str, page_size: int | None = MAX_PAGE_SIZE, annotations: str = "", prefer: Sequence[str] = ()
    ) -> RawPage:
        """One page of rows, and where the next one is.

        Args:
            url: relative to the API's root, or a ``next_link``.
            page_size: rows; None where there are no pages.
            annotations: names of annotations to send along, comma separated (Dataverse page 2.4).
            prefer: other preferences.
        """
        wishes = [*prefer]
        if page_size:
            wishes.append(f"odata.maxpagesize={page_size}")
        if annotations:
            wishes.append(f'odata.include-annotations="{annotations}"')
        page: RawPage = self._read(url, wishes, _page)
        self.pages_read += 1
        return page

    def pages(
        self,
        url: str,
        page_size: int = MAX_PAGE_SIZE,
        annotations: str = "",
        prefer: Sequence[str] = (),
        *,
        most: int | None = None,
    ) -> Iterator[RawPage]:
        """The pages of a query, in order. The next one is fetched while the caller works on this one.

        The first page is small and shows what a row takes. Where there are more, all begins anew with pages of the
        right size, which cannot change on the way (Dataverse page 2.3).

        Args:
            url: as in :meth:`page`.
            page_size: rows per page, at most.
            annotations: as in :meth:`page`.
            prefer: as in :meth:`page`.
            most: rows that are wanted; the page with the last of them is the last one.

        Raises:
            ServiceError: the service refused, or its links turn in a circle.
        """
        size = PageSize(page_size, PAGES_OF_A_CHAIN)
        rows, read, seen = size.rows, 0, {url}
        page = self.page(url, rows, annotations, prefer)
        size.measure(len(page.value), page.size)
        with self.http.gate.workers(1, "page") as ahead:
            # A page that is not full has the service's own size.
            if page.next_link and len(page.value) >= rows and not size.fits(rows):
                rows = size.rows
                page = self.page(url, rows, annotations, prefer)
            while True:
                read += len(page.value)
                if not page.next_link or (most and read >= most):
                    yield page
                    return
                if page.next_link in seen:
                    raise links_in_a_circle(url)
                seen.add(page.next_link)
                pending = ahead.submit(self.page, page.next_link, rows, annotations, prefer)
                yield page
                page = pending.result()

    def row(self, raw: msgspec.Raw) -> Row:
        """A row of a page. Numbers with a fraction are exact (``Decimal``).

        Raises:
            OutageError: it is no object.
        """
        try:
            return Answer(_object.decode(raw))
        except (ValueError, RecursionError):
            raise unreadable() from None

    def rows(self, query: Query, page_size: int = MAX_PAGE_SIZE, annotations: str = "") -> Iterator[Row]:
        """The rows of a query, in order.

        Raises:
            ServiceError: as in :meth:`pages`.
        """
        pages = self.raw_pages(query, page_size, annotations)
        return map(self.row, chain.from_iterable(pages))

    def raw_pages(self, query: Query, page_size: int, annotations: str) -> Iterator[Sequence[msgspec.Raw]]:
        """As :meth:`rows`. ``top`` is seen to here: the service ignores it beside a page size (page 2.3)."""
        left = query.top
        for page in self.pages(query.url, min(page_size, left or page_size), annotations, most=left):
            yield page.value if left is None else page.value[:left]
            if left is not None and (left := left - len(page.value)) <= 0:
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


def links_in_a_circle(url: str) -> ServiceError:
    """The error for next links that lead back."""
    return ServiceError(f"Dataverse repeats a page of {url.partition('?')[0]}; its links go in a circle.")


def _decode(decoder: msgspec.json.Decoder[Any], response: requests.Response) -> Any:
    value = decoder.decode(response.content)
    if isinstance(value, RawPage):
        value.size = len(response.content)
    return value
