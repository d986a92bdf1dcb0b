"""Request tokens: every call carries a JWT of its own, which signs what it asks for (Annex page 2)."""

from __future__ import annotations

import base64
import email.utils
import hashlib
import hmac
import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import quote

import msgspec
import requests
from jwt import PyJWS
from jwt.algorithms import HMACAlgorithm
from requests.auth import AuthBase

from annex_d365.errors import SettingError
from annex_d365.retry import IN_DOUBT

logger = logging.getLogger(__name__)

#: How long a token is good for. The longest that the service accepts is unknown (Annex page 2.2).
LIFETIME_SECONDS = 180
#: A shorter life would end on the way.
SHORTEST_LIFETIME_SECONDS, LONGEST_LIFETIME_SECONDS = 10, 3600
#: A clock that is off by less cannot be why a token was refused.
TOLERATED_SKEW_SECONDS = 60


class _GivenSecret(HMACAlgorithm):
    """HS256 with a secret whose length is Annex Cloud's choice: no warning about a short one, for every call."""

    def check_key_length(self, key: bytes) -> str | None:  # noqa: ARG002 - as in PyJWT
        return None


_jws = PyJWS()
_jws.unregister_algorithm("HS256")
_jws.register_algorithm("HS256", _GivenSecret(HMACAlgorithm.SHA256))


@dataclass(frozen=True)
class Credentials:
    """What Annex Cloud handed out for one site. Raises ``SettingError`` for an empty part."""

    site_id: str
    site_name: str
    secret_key: str = field(repr=False)

    def __post_init__(self) -> None:
        for name in ("site_id", "site_name", "secret_key"):
            if not getattr(self, name):
                raise SettingError(name, "is empty.")


class IdForm(str, Enum):
    r"""How a GET writes the id that it signs; of other signs than letters and digits nothing is known (Annex page 2.3).

    ``plain`` as it is; ``encoded`` as it stands in the address; ``ascii`` with ``\u00e9`` for what is not ASCII;
    ``php`` like that, and with ``\/``, as PHP writes JSON.
    """

    PLAIN = "plain"
    ENCODED = "encoded"
    ASCII = "ascii"
    PHP = "php"


def identifier_payload(identifier: str, form: IdForm = IdForm.PLAIN) -> bytes:
    """What a GET signs: the identifier in its path, not URL-encoded, as a JSON text with quotes (Annex page 2.3).

    Args:
        identifier: as it is.
        form: in which it is signed, if not like that.
    """
    if form is IdForm.PLAIN:
        return msgspec.json.encode(identifier)
    if form is IdForm.ENCODED:
        return msgspec.json.encode(quote(identifier, safe=""))
    text = json.dumps(identifier)
    return (text.replace("/", "\\/") if form is IdForm.PHP else text).encode()


#: GETs of which it is an ASSUMPTION that they sign their identifier (Annex page 2.3), by the resource.
ASSUMED_TO_SIGN = frozenset({"segmentlist", "eligiblesegment", "mergeuser"})


class Signed(str, Enum):
    """What a GET of :data:`ASSUMED_TO_SIGN` signs: its identifier, or an empty text (Annex page 2.3)."""

    ID = "id"
    EMPTY = "empty"


@dataclass(frozen=True)
class Signing:
    """What the documents leave open about tokens (Annex page 2.2, 2.3), as the settings have it.

    Attributes:
        lifetime: seconds that a token is good for.
        ids: how the id is written that a GET signs.
        assumed: what a GET signs of which nothing is known.
    """

    lifetime: int = LIFETIME_SECONDS
    ids: IdForm = IdForm.PLAIN
    assumed: Signed = Signed.ID

    def payload(self, resource: str, identifier: str) -> bytes:
        """What ``GET /{resource}/{identifier}`` signs."""
        empty = self.assumed is Signed.EMPTY and resource in ASSUMED_TO_SIGN
        return identifier_payload("" if empty else identifier, self.ids)


def hmac_claim(secret_key: str, payload: bytes) -> str:
    """The ``hmac`` claim: Base64 of HMAC-SHA256 over the Base64 text of ``payload`` (Annex page 2.3)."""
    digest = hmac.new(secret_key.encode(), base64.b64encode(payload), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def request_token(credentials: Credentials, payload: bytes, expires: int, *, blanks: int = 0) -> str:
    """The JWT for one call (Annex page 2.2).

    Args:
        credentials: of the site; the secret is used as it is, in UTF-8.
        payload: the exact bytes of the body, or :func:`identifier_payload`.
        expires: Unix time in seconds.
        blanks: so many after the claims, which mean nothing in JSON.
    """
    claims = {
        "sub": credentials.site_name,
        "exp": expires,
        "site_id": credentials.site_id,
        "hmac": hmac_claim(credentials.secret_key, payload),
    }
    return _jws.encode(msgspec.json.encode(claims) + b" " * blanks, credentials.secret_key, algorithm="HS256")


class _Repeats:
    """How often a token has been made already. One for all calls of a process; safe for threads."""

    #: Two calls of one second may see two seconds, and two services have two clocks.
    _KEPT = 16

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: dict[int, Counter[int]] = {}

    def number(self, payload: bytes, end: int) -> int:
        """Of tokens for this payload that end then: 0 for the first."""
        with self._lock:
            if end not in self._seconds:
                while len(self._seconds) >= self._KEPT:
                    del self._seconds[min(self._seconds)]
                self._seconds[end] = Counter()
            made = self._seconds[end]
            key = hash(payload)
            made[key] += 1
            return made[key] - 1


_repeats = _Repeats()


def fresh_token(credentials: Credentials, payload: bytes, expires: int) -> str:
    """As :func:`request_token`, and never the same as before: it is UNKNOWN whether one may be used twice (page 2.2).

    Calls that sign the same within one second (all pages of a list do) have the same claims; these have blanks behind.
    """
    return request_token(credentials, payload, expires, blanks=_repeats.number(payload, expires))


class Clock:
    """The service's time, learnt when a token is refused. One for all calls; safe for threads.

    Args:
        lifetime: seconds that a token is good for.
    """

    def __init__(self, lifetime: int = LIFETIME_SECONDS) -> None:
        self.offset = 0.0
        self._lifetime = lifetime
        # A clock that is off by a third of a short life may well be why a token was refused.
        self._tolerated = min(TOLERATED_SKEW_SECONDS, lifetime // 3)

    def now(self) -> float:
        """Unix time at the service, as far as is known."""
        return time.time() + self.offset

    @property
    def end(self) -> int:
        """When a token ends that is made now."""
        return int(self.now()) + self._lifetime

    def learn(self, headers: Mapping[str, str]) -> None:
        """Take over the service's time from the ``Date`` header, if that differs."""
        try:
            offset = email.utils.parsedate_to_datetime(headers.get("Date", "")).timestamp() - time.time()
        except ValueError:
            return
        if abs(offset - self.offset) > self._tolerated:
            logger.warning("This machine's clock is off by %.0f s from Annex Cloud's, whose time is used.", -offset)
            self.offset = offset


class RequestToken(AuthBase):
    """Signs one call with ``payload``; made anew for each."""

    def __init__(self, credentials: Credentials, payload: bytes, clock: Clock) -> None:
        self._credentials, self._payload, self._clock = credentials, payload, clock
        self._offset_used = 0.0
        self._settled = True
        #: Whether an earlier sending of this call was not clearly refused, so that it may have been carried out.
        self.in_doubt = False

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign the request."""
        self.in_doubt = self.in_doubt or not self._settled
        self._settled = False
        self._offset_used = self._clock.offset
        token = fresh_token(self._credentials, self._payload, self._clock.end)
        r.headers["Authorization"] = f"Bearer {token}"
        r.headers["X-AnnexCloud-Site"] = self._credentials.site_id
        r.register_hook("response", self._see)  # type: ignore[no-untyped-call]  # as its stubs have it
        return r

    def _see(self, response: requests.Response, **_: Any) -> None:
        # Not so a success, whose body may still be cut off.
        self._settled = response.status_code >= requests.codes.bad_request and response.status_code not in IN_DOUBT
        if response.status_code == requests.codes.unauthorized:
            self._clock.learn(response.headers)

    def renew(self, refused: requests.PreparedRequest) -> bool:  # noqa: ARG002 - the clock is all that can differ
        """Whether the service's clock, now known, would make another token than the refused one."""
        return self._clock.offset != self._offset_used
