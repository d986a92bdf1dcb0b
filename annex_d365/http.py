"""The HTTP client that both services share: sessions, time limits, and when to try again.

What to do with an answer is decided by :mod:`annex_d365.retry`, and python-backoff runs the loop. Services add sign-in
(``auth``), their error table (``explain``) and their URLs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from ipaddress import ip_address
from typing import Any, NoReturn, Protocol
from urllib.parse import urlsplit

import backoff
import requests
from requests.auth import AuthBase
from urllib3.exceptions import NewConnectionError

from annex_d365.errors import ConnectorError, OutageError, SettingError
from annex_d365.gate import Gate
from annex_d365.retry import (
    MAX_TRIES,
    MAX_TRIES_FIRST_CONTACT,
    NOT_STARTED,
    PATIENCE_SECONDS,
    Action,
    decide,
    pause,
    retry_after,
)

logger = logging.getLogger(__name__)
# Its messages hold addresses, and these hold member ids and conditions.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)

CONNECT_SECONDS = 10.0
#: A Dataverse request may run for two minutes on the server (Dataverse page 5.2).
READ_SECONDS = 130.0


class RenewableAuth(Protocol):
    """Signs requests, and can sign in anew when the service says 401."""

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign the request."""

    def renew(self, refused: requests.PreparedRequest) -> bool:
        """Get new credentials after ``refused`` was answered with 401; False when that cannot help."""


class InsecureError(requests.exceptions.InvalidURL):
    """An address that is neither https nor this machine's."""


class Session(requests.Session):
    """A session without cookies (they bind a client to one server, Dataverse page 6) that follows no redirect.

    A redirect would carry credentials to wherever it points: in a header, or, as MSAL sends them, in the body.
    ``ca_bundle`` wins over REQUESTS_CA_BUNDLE, which requests would prefer (Dataverse page 1.4, "verify trap").
    """

    def __init__(self, ca_bundle: str | None = None) -> None:
        super().__init__()
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.auth = _unsigned  # else requests looks for a password in ~/.netrc
        self._ca_bundle = ca_bundle
        self._environment: dict[str, Any] = {}

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """As in requests."""
        if self._ca_bundle:
            kwargs["verify"] = self._ca_bundle
        kwargs.setdefault("timeout", (CONNECT_SECONDS, READ_SECONDS))  # MSAL sets none
        kwargs["allow_redirects"] = False
        return super().request(*args, **kwargs)

    def merge_environment_settings(self, url: Any, proxies: Any, *more: Any) -> Any:
        """As in requests, which reads the environment anew for each request: a quarter of its work."""
        parts = urlsplit(url)
        key = f"{parts.scheme} {parts.netloc} {proxies} {more}"
        if key not in self._environment:
            self._environment[key] = super().merge_environment_settings(url, proxies, *more)
        return dict(self._environment[key])

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """As in requests, wherever the address comes from: a setting, a reply, a document of the sign-in service.

        Raises:
            InsecureError: it would go over the network in the clear.
        """
        parts = urlsplit(request.url or "")
        if parts.scheme != "https":
            if not _loopback(parts.hostname or ""):
                raise InsecureError("plain http is for this machine only")
            kwargs["proxies"] = {}  # HTTP_PROXY would take it to another machine
        return super().send(request, **kwargs)


class _Retry(Exception):  # noqa: N818 - a signal to the loop, not an error
    """Wait, then try again; ``because`` is what the user sees when patience ends."""

    def __init__(self, wait: float, because: ConnectorError, *, status: int = 0, first_contact: bool = False) -> None:
        super().__init__()
        self.wait, self.because, self.status, self.first_contact = wait, because, status, first_contact


@dataclass
class _Call:
    """One request and its tries."""

    client: Client
    method: str
    url: str
    auth: RenewableAuth | AuthBase
    explain: Callable[[requests.Response], ConnectorError]
    check: Callable[[requests.Response], Any]
    repeatable: bool
    headers: Mapping[str, str] | None
    body: bytes | None
    kind: str
    most_tries: Mapping[int, int]
    tries: int = 0
    seconds: float = 0.0
    renewed: bool = False
    #: When it was sent first: to wait in line at the gate takes no patience.
    started: float | None = None

    def attempt(self) -> Any:
        self.tries += 1
        response = self._exchange()
        self.client.reached = True
        if response.status_code not in NOT_STARTED:
            self.client.gate.answered(_hint(response.headers), kind=self.kind, seconds=self.seconds)
        action = decide(response.status_code, repeatable=self.repeatable, signed_in_again=self.renewed)
        if action is Action.SIGN_IN:
            self.renewed = True
            renew = getattr(self.auth, "renew", None)
            if renew and renew(response.request):
                return self.attempt()
            raise self.explain(response)
        if action is Action.RETRY:
            asked = retry_after(response.headers, time.time())
            raise _Retry(pause(self.tries, asked), self.explain(response), status=response.status_code)
        if action is Action.FAIL:
            raise self.explain(response)
        try:
            return self.check(response)
        except (ValueError, RecursionError):  # the second: nested as no answer is
            self._in_doubt(OutageError(f"{self.client.service} sent an answer that could not be read.", status=200))

    def _exchange(self) -> requests.Response:
        with self.client.gate.pass_one():
            started = time.monotonic()
            self.started = self.started or started
            response = self._send()
            self.seconds = time.monotonic() - started
            return response

    def _send(self) -> requests.Response:
        self.client.requests_sent += 1
        try:
            return self.client.session.request(
                self.method,
                self.url,
                headers=self.headers,
                data=self.body,
                auth=self.auth,
            )
        except requests.exceptions.SSLError:
            raise untrusted(self.url) from None
        except ValueError:  # what requests and urllib3 raise for an address that cannot be one
            raise SettingError(self.client.host_setting, "is not the address of a service.") from None
        except requests.RequestException as error:
            failure = OutageError(f"{self.client.service} at {origin(self.url)} {_how_it_failed(error)}.")
            if isinstance(error, requests.exceptions.ChunkedEncodingError):
                self.client.reached = True  # it has begun to answer: the setting is right
            if _never_sent(error):
                raise _Retry(pause(self.tries, None), failure, first_contact=not self.client.reached) from None
            return self._in_doubt(failure)
        except OSError:
            # requests raises a bare OSError for a bundle that is not there
            raise SettingError("ca_bundle", "this file of certificates cannot be read.") from None

    def _in_doubt(self, failure: OutageError) -> NoReturn:
        """It may have been carried out."""
        if not self.repeatable:
            raise failure from None
        raise _Retry(pause(self.tries, None), failure, first_contact=not self.client.reached) from None

    def give_up(self, retry: Exception) -> bool:
        assert isinstance(retry, _Retry)
        limit = MAX_TRIES_FIRST_CONTACT if retry.first_contact else MAX_TRIES
        limit = min(limit, self.most_tries.get(retry.status, limit))
        throttled = retry.status in NOT_STARTED
        assert self.started is not None
        late = time.monotonic() - self.started + retry.wait > PATIENCE_SECONDS
        return late or (self.tries >= limit and not throttled)

    def before_pause(self, details: Any) -> None:
        retry = details["exception"]
        throttled = retry.status in NOT_STARTED
        if throttled:
            self.client.gate.pause(retry.wait)
        logger.warning("%s Trying again in %.1f s (try %d).", retry.because, retry.wait, self.tries + 1)
        if not throttled:  # else the gate holds it back, with all others
            self.client.gate.sleep(retry.wait)

    def run(self) -> Any:
        loop = backoff.on_exception(
            backoff.runtime,
            _Retry,
            # Its own sleep cannot be interrupted: see `before_pause`.
            value=lambda _: 0,
            jitter=None,
            giveup=self.give_up,
            on_backoff=self.before_pause,
            logger=None,
        )
        try:
            return loop(self.attempt)()
        except _Retry as retry:
            if retry.first_contact:
                raise SettingError(self.client.host_setting, str(retry.because)) from None
            tries = f"{self.tries} tries" if self.tries > 1 else "one try"
            wait = f", as it asks for {retry.wait:.0f} s of patience" if retry.wait > PATIENCE_SECONDS else ""
            raise OutageError(f"{retry.because} Gave up after {tries}{wait}.", status=retry.status) from None


class Client:
    """Sends requests to one service. Safe for threads: each has a session of its own.

    Args:
        service: name for messages, "Dataverse".
        host_setting: the setting that holds the host, named when it cannot be reached.
        ca_bundle: file of certificates to trust instead of the usual ones.
        parallel: most requests in flight.
    """

    def __init__(self, service: str, *, host_setting: str, ca_bundle: str | None = None, parallel: int = 8) -> None:
        self.service = service
        self.host_setting = host_setting
        self._ca_bundle = ca_bundle
        self._local = threading.local()
        #: Whether the host ever answered.
        self.reached = False
        self.gate = Gate(parallel)
        #: Requests sent, tries included.
        self.requests_sent = 0

    @property
    def throttled_seconds(self) -> float:
        """Seconds during which nothing was sent because the service asked for it."""
        return self.gate.paused_seconds

    @property
    def session(self) -> requests.Session:
        """The calling thread's session."""
        if not hasattr(self._local, "session"):
            self._local.session = new_session(self._ca_bundle)
        session: requests.Session = self._local.session
        return session

    def close(self) -> None:
        """End all waiting; what is sent from now on raises :class:`~annex_d365.gate.Closing`."""
        self.gate.close()

    def send(
        self,
        method: str,
        url: str,
        *,
        auth: RenewableAuth | AuthBase,
        explain: Callable[[requests.Response], ConnectorError],
        check: Callable[[requests.Response], Any] = lambda response: response,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        repeatable: bool | None = None,
        kind: str = "",
        most_tries: Mapping[int, int] | None = None,
    ) -> Any:
        """Send one request until it is answered.

        Args:
            method: HTTP method.
            url: absolute URL.
            auth: signs the request; if it can ``renew``, a 401 is answered by one new sign-in.
            explain: makes an error of a refusal; the service's error table.
            check: reads the answer; raises ``ValueError`` for one that cannot be read (cut off, HTML of a gateway),
                which is then treated like an outage.
            headers: request headers.
            body: request body.
            repeatable: whether a second time changes nothing; by default true except for POST.
            kind: of requests that take about the same time; when these become slow, fewer are sent at once.
            most_tries: how often it is sent at most, where that is less than usual, by the status of the last answer; 0
                stands for none that could be read. Throttling is waited out in any case.

        Returns:
            What ``check`` made of the answer.

        Raises:
            ConnectorError: the service refused; what ``explain`` made of the answer.
            OutageError: it could not be reached, or kept failing.
            SettingError: the certificate is not trusted, or the host never answered.
            Closing: the client is closed, or this thread is one of the gate's workers, whose block has ended.
        """
        repeatable = method != "POST" if repeatable is None else repeatable
        tries = most_tries or {}
        return _Call(self, method, url, auth, explain, check, repeatable, headers, body, kind, tries).run()


def _unsigned(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """For what is sent without an ``auth`` of its own: as it is."""
    return request


def new_session(ca_bundle: str | None) -> requests.Session:
    """A session as every client here uses it; MSAL gets one too."""
    return Session(ca_bundle)


def origin(url: str) -> str:
    """Scheme and authority of a URL, in lower case, without user information and the scheme's own port."""
    parts = urlsplit(url.lower())
    authority = parts.netloc.rpartition("@")[2]
    default = {"https": ":443", "http": ":80"}.get(parts.scheme, "")
    return f"{parts.scheme}://{authority.removesuffix(default)}"


def secure_origin(setting: str, url: str) -> str:
    """Scheme and authority of a URL; https, or http to this machine only.

    Raises:
        SettingError: it is not such a URL.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        raise SettingError(setting, "is not a URL.") from None
    if not host or parts.scheme not in {"https", "http"}:
        raise SettingError(setting, "must be a URL that begins with https://.")
    if parts.username or parts.password:
        raise SettingError(setting, "must not carry a user name or password.")
    if parts.scheme == "http" and not _loopback(host):
        raise SettingError(setting, "must begin with https://; plain http is for this machine only.")
    authority = f"[{host}]" if ":" in host else host
    return origin(f"{parts.scheme}://{authority}" + (f":{port}" if port else ""))


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def untrusted(url: str) -> SettingError:
    """The error for a certificate that does not verify."""
    return SettingError(
        "ca_bundle",
        f"the certificate of {origin(url)} is not trusted; name the file with the authority that signed it here, "
        "or check the address.",
    )


def _hint(headers: Mapping[str, str]) -> int | None:
    """Requests at once that Dataverse recommends (Dataverse page 6)."""
    hint = headers.get("x-ms-dop-hint", "")
    return int(hint) if hint.isdecimal() else None


def _how_it_failed(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "did not answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "broke off its answer"
    return "could not be reached"


def _never_sent(error: requests.RequestException) -> bool:
    """Whether no connection was made (refused, no such host), so that nothing can have been done."""
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(error, requests.ConnectTimeout) or isinstance(reason, NewConnectionError)
