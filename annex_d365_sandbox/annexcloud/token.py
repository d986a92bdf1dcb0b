"""The request token of every call: a JWT (HS256) with an ``hmac`` claim over the request (Annex page section 2)."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import jwt
import msgspec
from jwt.algorithms import HMACAlgorithm

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from annex_d365_sandbox.wire import Request

#: The reason of a refusal that ``Switches.strict_hmac`` may waive.
HMAC_MISMATCH = "the hmac claim does not match the request"


class TokenError(Exception):
    """The token is refused. ``reason`` holds no secret and no value of the request."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _AnyKeyLength(HMACAlgorithm):
    """HS256 without PyJWT's warning about short keys: the site's owner has no say in its secret's length."""

    def check_key_length(self, key: bytes) -> None:  # noqa: ARG002 - the signature is PyJWT's
        return None


_jws = jwt.PyJWS(algorithms=[])
_jws.register_algorithm("HS256", _AnyKeyLength(HMACAlgorithm.SHA256))


def check(
    request: Request, *, site_id: str, secret_key: str, now: datetime, payloads: Iterable[bytes], longest: int = 0
) -> None:
    """Check the request's token in the order of section 15.2.

    ``payloads`` are the byte strings of which the client must have signed one; ``longest`` is how many seconds a token
    may have to live, 0 for any number.

    Raises:
        TokenError: with the first reason.
    """
    text = _bearer(request)
    header_site = request.headers.get("x-annexcloud-site")
    if header_site is None:
        raise TokenError("no X-AnnexCloud-Site header")
    if header_site != site_id:
        raise TokenError("X-AnnexCloud-Site names another site")
    claims = _claims(text, secret_key)
    expiry = _seconds(claims.get("exp"))
    if expiry is None:
        raise TokenError("exp is not a number of seconds")
    if expiry <= now.timestamp():
        raise TokenError("the token has expired")
    if longest and expiry > now.timestamp() + longest:
        raise TokenError("the token lives too long")
    if claims.get("site_id") != header_site:
        raise TokenError("site_id differs from X-AnnexCloud-Site")
    if not claims.get("sub"):
        raise TokenError("no sub claim")
    claimed = claims.get("hmac")
    if not isinstance(claimed, str):
        raise TokenError("no hmac claim")
    if not any(hmac.compare_digest(claimed.encode(), hmac_claim(payload, secret_key)) for payload in payloads):
        raise TokenError(HMAC_MISMATCH)


def _bearer(request: Request) -> str:
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise TokenError("no bearer token")
    return text.strip()


def _claims(text: str, secret_key: str) -> dict[str, Any]:
    try:
        claims = msgspec.json.decode(_jws.decode(text, secret_key, algorithms=["HS256"]))
    except jwt.InvalidAlgorithmError:
        raise TokenError("alg is not HS256") from None
    except jwt.InvalidSignatureError:
        raise TokenError("the token's signature does not match") from None
    except (jwt.InvalidTokenError, msgspec.DecodeError, RecursionError):
        raise TokenError("not a JSON web token") from None
    if not isinstance(claims, dict):
        raise TokenError("the token's payload is not an object")
    return claims


def hmac_claim(payload: bytes, secret_key: str) -> bytes:
    """Base64(HMAC-SHA256(secret, Base64(payload))): the HMAC runs over the Base64 text (section 2.3)."""
    return b64encode(hmac.new(secret_key.encode(), b64encode(payload), hashlib.sha256).digest())


def identifier_payloads(identifier: str, escaping: str = "any") -> set[bytes]:
    """The identifier as a JSON string, in an escaping of the switch ``identifier_escaping``, or in each."""
    plain, ascii_only = (json.dumps(identifier, ensure_ascii=escaped) for escaped in (False, True))
    literals = {"plain": {plain}, "ascii": {ascii_only}, "php": {ascii_only.replace("/", "\\/")}}
    every = {plain, plain.replace("/", "\\/")}.union(*literals.values())
    return {literal.encode("utf-8", "replace") for literal in literals.get(escaping, every)}


def _seconds(value: Any) -> float | None:
    """``exp`` as a number or a string (section 2.2)."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) else None
