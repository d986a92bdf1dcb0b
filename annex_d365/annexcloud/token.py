"""Request tokens: every call carries a JWT of its own, which signs what it asks for (Annex page 2)."""

from __future__ import annotations

import base64
import email.utils
import hashlib
import hmac
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
#: A clock that is off by less cannot be why a token was refused.
TOLERATED_SKEW_SECONDS = 60


class _GivenSecret(HMACAlgorithm):
    """HS256 with a secret whose length is Annex Cloud's choice: no warning about a short one, for every call."""

    def check_key_length(self, key: bytes) -> str | None:  # noqa: ARG002
        return None


_jws = PyJWS()
_jws.unregister_algorithm("HS256")
_jws.register_algorithm("HS256", _GivenSecret(HMACAlgorithm.SHA256))


@dataclass(frozen=True)
class Credentials:
    """What Annex Cloud handed out for one site. Raises ``SettingError`` for an empty secret."""

    site_id: str
    site_name: str
    secret_key: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.secret_key:
            raise SettingError("secret_key", "is empty.")


def identifier_payload(identifier: str) -> bytes:
    """What a GET signs: the identifier in its path, not URL-encoded, as a JSON text with quotes (Annex page 2.3)."""
    return msgspec.json.encode(identifier)


def hmac_claim(secret_key: str, payload: bytes) -> str:
    """The ``hmac`` claim: Base64 of HMAC-SHA256 over the Base64 text of ``payload`` (Annex page 2.3)."""
    digest = hmac.new(secret_key.encode(), base64.b64encode(payload), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def request_token(credentials: Credentials, payload: bytes, expires: int) -> str:
    """The JWT for one call (Annex page 2.2).

    Args:
        credentials: of the site; the secret is used as it is, in UTF-8.
        payload: the exact bytes of the body, or :func:`identifier_payload`.
        expires: Unix time in seconds.
    """
    claims = {
        "sub": credentials.site_name,
        "exp": expires,
        "site_id": credentials.site_id,
        "hmac": hmac_claim(credentials.secret_key, payload),
    }
    return _jws.encode(msgspec.json.encode(claims), credentials.secret_key, algorithm="HS256")


class Clock:
    """The service's time, learnt when a token is refused. One for all calls to a service; safe for threads."""

    def __init__(self) -> None:
        self.offset = 0.0

    def now(self) -> float:
        """Unix time at the service, as far as is known."""
        return time.time() + self.offset

    def learn(self, headers: Mapping[str, str]) -> None:
        """Take over the service's time from the ``Date`` header, if that differs."""
        try:
            offset = email.utils.parsedate_to_datetime(headers.get("Date", "")).timestamp() - time.time()
        except ValueError:
            return
        if abs(offset - self.offset) > TOLERATED_SKEW_SECONDS:
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
        token = request_token(self._credentials, self._payload, int(self._clock.now()) + LIFETIME_SECONDS)
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
