"""Requests whose whole answers are looked at: status and headers too, and refusals as well as successes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import requests
from requests.auth import AuthBase

from annex_d365 import http
from annex_d365.errors import ConnectorError
from annex_d365.retry import IN_DOUBT, SUCCESS

#: A check is no pipeline: it does not wait for a service to recover.
_TRIES = dict.fromkeys({0, *IN_DOUBT}, 2)


@dataclass(frozen=True)
class Answer:
    """What a service answered.

    Attributes:
        route: what was asked for, without ids.
        status: HTTP status.
        headers: in any case of letters.
        content: bytes of the body.
    """

    route: str
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def ok(self) -> bool:
        """Whether it is a success."""
        return self.status in SUCCESS

    @property
    def body(self) -> Any:
        """Decoded JSON; None for none."""
        try:
            return msgspec.json.decode(self.content)
        except msgspec.DecodeError:
            return None


class _RefusedError(ConnectorError):
    """Carries a refusal out of the retry loop; its text is for the case that the loop ends otherwise."""

    def __init__(self, response: requests.Response, route: str) -> None:
        super().__init__(f"{route} was answered with {response.status_code}.")
        self.response = response


def ask(
    client: http.Client,
    method: str,
    url: str,
    route: str,
    auth: AuthBase,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    repeatable: bool = True,
) -> Answer:
    """The answer to one request, whatever its status.

    Raises:
        ConnectorError: there is none; the service cannot be reached, keeps failing, or a sign-in is refused.
    """

    def explain(response: requests.Response) -> ConnectorError:
        return _RefusedError(response, route)

    try:
        response = client.send(
            method,
            url,
            auth=auth,
            explain=explain,
            headers=headers,
            body=body,
            repeatable=repeatable,
            most_tries=_TRIES,
        )
    except _RefusedError as refused:
        response = refused.response
    return Answer(route, response.status_code, response.headers, response.content)
