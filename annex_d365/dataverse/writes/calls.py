"""Requests that write, each of which may be repeated, and what is known of those whose reply got lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import requests

from annex_d365.dataverse.client import Dataverse
from annex_d365.dataverse.errors import details, explain
from annex_d365.dataverse.signin import SignIn
from annex_d365.dataverse.writes.operations import WriteOptions
from annex_d365.errors import ConnectorError
from annex_d365.retry import IN_DOUBT

#: A request that is divisible is sent so often while the service fails on it: a part of it may be to blame.
DIVISIBLE_TRIES = 3
#: A request that failed after so many seconds was too much for the service, not struck by chance.
SLOW_SECONDS = 60.0
#: The service's database had no time for so much (Dataverse page 5.3), or two calls stood in each other's way.
_SQL_FAILURES = frozenset({"0x80044150", "0x80044151"})
TOO_LARGE = requests.codes.request_entity_too_large

_HEADERS = {
    "Accept": "application/json",
    "Content-Type": "application/json",
    "OData-MaxVersion": "4.0",
    "OData-Version": "4.0",
}

#: Numbers with a fraction stay exact.
encode_json = msgspec.json.Encoder(decimal_format="number").encode


def option_headers(options: WriteOptions) -> dict[str, str]:
    """Headers that say how to write (Dataverse page 2.1)."""
    headers = {
        "MSCRM.BypassBusinessLogicExecution": options.bypass_business_logic,
        "MSCRM.SuppressCallbackRegistrationExpanderJob": "true" if options.suppress_flows else "",
        "CallerObjectId": options.caller_object_id,
    }
    return {name: value for name, value in headers.items() if value}


@dataclass(frozen=True)
class Reply:
    """An answer to one request, which may be a refusal.

    Attributes:
        response: as it came.
        in_doubt: whether an earlier sending of the request may have been carried out.
        route: what was asked for, for messages.
        content: what the ``check`` of the request made of it, if it is no refusal.
    """

    response: requests.Response
    in_doubt: bool = False
    route: str = ""
    content: Any = None

    @property
    def status(self) -> int:
        """HTTP status."""
        return self.response.status_code

    @property
    def ok(self) -> bool:
        """Whether it is no refusal."""
        return self.response.ok

    @property
    def error(self) -> ConnectorError:
        """The refusal as an error that ends the run."""
        return explain(self.response, route=self.route)


class TooMuchError(ConnectorError):
    """The service had no time or no room for one request; less may do."""

    def __init__(self, *, in_doubt: bool) -> None:
        super().__init__("Dataverse had no time for a request of this size.")
        self.in_doubt = in_doubt


class _RefusalError(ConnectorError):
    def __init__(self, response: requests.Response, route: str) -> None:
        super().__init__(str(explain(response, route=route)))
        self.response = response


class _Tries:
    """Signs the tries of one request, and sees what became of them."""

    def __init__(self, sign_in: SignIn, route: str, *, divisible: bool, most_failures: int) -> None:
        self._sign_in, self._route, self._divisible = sign_in, route, divisible
        self._failures_left = DIVISIBLE_TRIES if divisible else most_failures
        self._unanswered = False
        self._sent = 0.0
        self.in_doubt = False

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._unanswered:
            self._lost()
        signed = self._sign_in(r)
        self._unanswered, self._sent = True, time.monotonic()
        return signed

    def renew(self, refused: requests.PreparedRequest) -> bool:
        self._unanswered = False
        return self._sign_in.renew(refused)

    def explain(self, response: requests.Response) -> ConnectorError:
        """For :meth:`annex_d365.http.Client.send`; raises for what is not to be sent again as it is."""
        self._unanswered = False
        if response.status_code in IN_DOUBT:
            self._lost(sql=details(response)[0].lower() in _SQL_FAILURES)
        refusal = _RefusalError(response, self._route)
        if response.status_code == requests.codes.internal_server_error:
            self._failures_left -= 1
            if not self._failures_left:
                raise refusal
        return refusal

    def _lost(self, *, sql: bool = False) -> None:
        self.in_doubt = True
        if self._divisible and (sql or time.monotonic() - self._sent >= SLOW_SECONDS):
            raise TooMuchError(in_doubt=True)


class Calls:
    """Sends what writes. Safe for threads.

    Args:
        dataverse: the organisation.
        options: how to write.
    """

    def __init__(self, dataverse: Dataverse, options: WriteOptions) -> None:
        self._dataverse = dataverse
        self.gate = dataverse.http.gate
        #: Headers of each request that writes, also of those in a batch.
        self.headers: Mapping[str, str] = {**_HEADERS, **option_headers(options)}
        #: Of addresses in a batch.
        self.root = dataverse.root

    def send(
        self,
        method: str,
        url: str,
        route: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        check: Callable[[requests.Response], Any] = lambda _: None,
        divisible: bool = False,
        repeatable: bool = True,
        most_failures: int = 0,
    ) -> Reply:
        """Send one request until it is answered.

        Args:
            method: HTTP method.
            url: relative to the API's root.
            route: as in :class:`Reply`.
            body: request body.
            headers: others than those of all requests.
            check: reads an answer; raises ``ValueError`` for one that cannot be read.
            divisible: whether it is better to send less than the same again, if the service had no time or keeps
                failing.
            repeatable: whether a second time changes nothing.
            most_failures: after so many failures (500) the last one is the answer; 0 for an error instead.

        Raises:
            TooMuchError: it is divisible, and the service had no time.
            OutageError: the service could not be reached, or kept failing.
        """
        tries = _Tries(self._dataverse.sign_in, route, divisible=divisible, most_failures=most_failures)

        def read(response: requests.Response) -> Reply:
            return Reply(response, tries.in_doubt, route, check(response))

        try:
            reply: Reply = self._dataverse.http.send(
                method,
                f"{self.root}{url}",
                auth=tries,
                explain=tries.explain,
                check=read,
                headers={**self.headers, **(headers or {})},
                body=body or None,
                repeatable=repeatable,
            )
        except _RefusalError as refusal:
            return Reply(refusal.response, tries.in_doubt, route)
        return reply
