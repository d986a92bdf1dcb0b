"""The Loyalty API: signed calls, and what is inside their answers (Annex pages 2, 3)."""

from __future__ import annotations

import decimal
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec
import requests
from urllib3.exceptions import NewConnectionError

from annex_d365 import http
from annex_d365.annexcloud.errors import InDoubtError, RefusedError, error_code, explain
from annex_d365.annexcloud.judge import Judge, accepted
from annex_d365.annexcloud.segment_words import SegmentWords
from annex_d365.annexcloud.token import Clock, Credentials, RequestToken, Signing
from annex_d365.errors import OutageError, RepeatedError, RowError, ServiceError, SettingError
from annex_d365.retry import IN_DOUBT, NOT_STARTED

DEFAULT_BASE_URL = "https://s15.socialannex.net/api/3.0"

#: The longest id that is put into an address. The service's own limit is unknown; servers refuse long addresses.
MAX_ID_LENGTH = 500
#: Asked for to see whether the service accepts our requests, until it has accepted one. It need not exist.
_ANY_ID = "0"

#: Tries, by status, of a call that others can stand in for.
_ATTEMPT_TRIES = dict.fromkeys({0, *IN_DOUBT}, 3)
#: Resources whose writes are about one row of many.
_OF_ONE_ROW = frozenset({"users", "userdelete"})

# Sent with GET, too, as the vendor's own clients do (Annex page 2.1).
_HEADERS = {"Accept": "application/json", "Content-Type": "application/json"}

#: Unicode categories: control characters, and halves of surrogate pairs.
_NO_TEXT = frozenset({"Cc", "Cs"})

_SIGNING, _WORDS = Signing(), SegmentWords()

_decoder = msgspec.json.Decoder(float_hook=decimal.Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True)
class Attempt:
    """What became of a request that the service may refuse as a whole.

    Attributes:
        answer: what the service said, if it did not refuse.
        refusal: why there is no answer: it was refused, or failed a few times; None if there is one.
        in_doubt: whether a sending of this request, with a reply that got lost, may have been carried out.
    """

    answer: Any
    refusal: ServiceError | None
    in_doubt: bool


class AnnexCloud:
    """One site. Safe for threads.

    Args:
        base_url: up to and with the version, ``https://s15.socialannex.net/api/3.0``.
        credentials: sign the requests.
        signing: how they are signed.
        segment_words: what it says about segments.
        ca_bundle: certificates to trust instead of the usual ones.
        parallel: most requests in flight.

    Raises:
        SettingError: ``base_url`` is not the address of a service.
    """

    def __init__(
        self,
        base_url: str,
        credentials: Credentials,
        *,
        signing: Signing = _SIGNING,
        segment_words: SegmentWords = _WORDS,
        ca_bundle: str | None = None,
        parallel: int = 8,
    ) -> None:
        self._root = service_root(base_url)
        self._credentials, self._signing = credentials, signing
        self._clock = Clock(signing.lifetime)
        self.segment_words = segment_words
        self._accepted = _ANY_ID
        self.http = http.Client("Annex Cloud", host_setting="base_url", ca_bundle=ca_bundle, parallel=parallel)
        self.judge = Judge(self._ask, self.http.gate.sleep)

    def get(
        self, resource: str, identifier: str, *, part: str = "", query: Mapping[str, str | int] | None = None
    ) -> Any:
        """The answer to ``GET /{resource}/{identifier}/{part}?{query}``, of which the identifier is signed (2.3).

        Raises:
            ConnectorError: as :func:`annex_d365.annexcloud.errors.explain` tells.
        """
        answer = self.judge.with_id(partial(self._get, resource, identifier, part, query))
        self._accepted = identifier
        return answer

    def post(self, resource: str, body: Mapping[str, Any], *, repeatable: bool) -> Any:
        """The answer to ``POST /{resource}``; ``repeatable`` says that a second time does no harm.

        Raises:
            RepeatedError: refused; an earlier sending may be why.
            InDoubtError: not repeatable, and it may have been carried out.
            ServiceError: the site has no such route.
            ConnectorError: as :func:`annex_d365.annexcloud.errors.explain` tells.
        """
        content = _encoder.encode(body)
        send = partial(self._post, resource, content, self._token(content), repeatable=repeatable)
        route = f"POST /{resource}"
        of_row = repeatable and resource in _OF_ONE_ROW
        return self.judge.without_id(route, partial(self.judge.of_row, route, send) if of_row else send)

    def attempt(self, resource: str, body: Any) -> Attempt:
        """``POST /{resource}``, repeatable, what the service may refuse as a whole, or always fail at.

        The answer is whole, with what is around ``Data``.

        Raises:
            SettingError: it refuses other requests, too.
            OutageError: it does not want to be asked.
        """
        content = _encoder.encode(body)
        token = self._token(content)
        try:
            answer = self._post(resource, content, token, repeatable=True, whole=True, most_tries=_ATTEMPT_TRIES)
        except RefusedError as refused:
            self.judge.check_others(refused)
            return Attempt(None, refused.of_route(), token.in_doubt)
        except OutageError as failure:
            if failure.status in NOT_STARTED:
                raise
            return Attempt(None, failure, token.in_doubt or _may_be_done(failure))
        except ServiceError as refusal:
            return Attempt(None, refusal, token.in_doubt)
        return Attempt(answer, None, token.in_doubt)

    def patch(self, resource: str, identifier: str, body: Mapping[str, Any]) -> Any:
        """The answer to ``PATCH /{resource}/{identifier}``.

        Raises:
            ConnectorError: as :func:`annex_d365.annexcloud.errors.explain` tells.
        """
        url = f"{self._root}/{resource}/{path_segment(identifier)}"
        content = _encoder.encode(body)
        route = f"PATCH /{resource}/{{id}}"
        send = partial(self._send, "PATCH", url, route, self._token(content), content)
        if resource not in _OF_ONE_ROW:
            return self.judge.with_id(send)
        answer = self.judge.with_id(partial(self.judge.of_row, route, send))
        self._accepted = identifier
        return answer

    def has(self, resource: str) -> bool:
        """Whether there is a ``GET /{resource}/{id}``, told by a request for an id that need not exist."""
        return accepted(partial(self._get, resource, _ANY_ID))

    def _ask(self, **options: Any) -> Any:
        return self._get("users", self._accepted, **options)

    def _get(
        self,
        resource: str,
        identifier: str,
        part: str = "",
        query: Mapping[str, str | int] | None = None,
        **options: Any,
    ) -> Any:
        end = f"/{part}" if part else ""
        url = f"{self._root}/{resource}/{path_segment(identifier)}{end}" + (f"?{urlencode(query)}" if query else "")
        token = self._token(self._signing.payload(resource, identifier))
        return self._send("GET", url, f"GET /{resource}/{{id}}{end}", token, None, **options)

    def _post(self, resource: str, content: bytes, token: RequestToken, **options: Any) -> Any:
        return self._send("POST", f"{self._root}/{resource}", f"POST /{resource}", token, content, **options)

    def _token(self, signed: bytes) -> RequestToken:
        return RequestToken(self._credentials, signed, self._clock)

    def _send(
        self,
        method: str,
        url: str,
        route: str,
        token: RequestToken,
        body: bytes | None,
        *,
        repeatable: bool = True,
        whole: bool = False,
        most_tries: Mapping[int, int] | None = None,
    ) -> Any:
        try:
            answer = self.http.send(
                method,
                url,
                auth=token,
                explain=partial(explain, route=route),
                check=partial(_read, route=route, whole=whole),
                headers=_HEADERS,
                body=body,
                repeatable=repeatable,
                # Bodies of the same order of size take about the same time.
                kind=f"{route} {len(body or b'').bit_length()}",
                most_tries=most_tries,
            )
        except RowError as error:
            if repeatable and token.in_doubt:
                raise RepeatedError(str(error), status=error.status, code=error.code) from None
            raise
        except ServiceError as error:
            if not repeatable and _may_be_done(error):
                raise InDoubtError(
                    f"{error} It may have been carried out.", status=error.status, code=error.code
                ) from None
            raise
        self.judge.trusted = True
        return answer


def service_root(base_url: str) -> str:
    """``base_url`` without a final slash.

    Raises:
        SettingError: it is not https (or http to this machine), or has a part that no service's address has.
    """
    root = http.secure_origin("base_url", base_url)
    parts = urlsplit(base_url.strip())
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise SettingError("base_url", "must not carry a user name, a query or a fragment.")
    return root + parts.path.rstrip("/")


def path_segment(identifier: str) -> str:
    """An identifier as one segment of a path. Ids may be e-mail addresses, and hold any printable sign.

    Raises:
        RowError: for what no client can put into a path: clients and servers take ``.`` and ``..`` for directions, and
            control characters or very long addresses for attacks.
    """
    strange = not identifier.isprintable() and any(unicodedata.category(sign) in _NO_TEXT for sign in identifier)
    if identifier in {"", ".", ".."} or strange:
        raise RowError("This id cannot be part of an address.")
    if len(identifier) > MAX_ID_LENGTH:
        raise RowError(f"This id is longer than {MAX_ID_LENGTH} characters.")
    return quote(identifier, safe="")


def _read(response: requests.Response, route: str, *, whole: bool) -> Any:
    """What the answer holds: the object in ``Data``, where there is one, else the body itself (Annex page 3).

    Args:
        response: a success.
        route: for messages.
        whole: the body itself in any case.

    Raises:
        ValueError: it is no JSON.
        ConnectorError: it holds an error although its status is that of a success.
    """
    if not response.content:
        return {}
    body = _decoder.decode(response.content)
    if error_code(response.content):
        raise explain(response, route)
    inner = body.get("Data") if isinstance(body, dict) and not whole else None
    return inner if isinstance(inner, (dict, list)) else body


def _may_be_done(error: ServiceError) -> bool:
    """Whether a request that is not sent twice may have been carried out, though it failed."""
    if isinstance(error, OutageError):
        return error.status not in NOT_STARTED and not _never_sent(error)
    return error.status in IN_DOUBT or error.status >= requests.codes.server_error


def _never_sent(error: OutageError) -> bool:
    """Whether no connection was made, as far as the failure that ``error`` stands for tells."""
    cause: BaseException | None = error
    while cause and not isinstance(cause, requests.RequestException):
        cause = cause.__context__
    reason = getattr(cause.args[0], "reason", None) if cause and cause.args else None
    return isinstance(cause, requests.ConnectTimeout) or isinstance(reason, NewConnectionError)
