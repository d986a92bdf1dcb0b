"""Signing in to a Dynamics 365 organisation, through MSAL (Dataverse page 1).

The rule: a user name means the password flow, on the confidential application when there is a client secret; without
one the application signs in for itself. Authority and scope are derived from what the integration document asks for,
``authEndPointUrl`` and ``resource``.
"""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import backoff
import msal
import msgspec
import requests
from requests.auth import AuthBase

from annex_d365 import http, retry
from annex_d365.dataverse.organization import DYNAMICS_HOST, login_host
from annex_d365.errors import ConnectorError, OutageError, SettingError
from annex_d365.http import secure_origin

logger = logging.getLogger(__name__)
# Its messages hold replies, with the names of users in them.
logging.getLogger("msal").setLevel(logging.CRITICAL)

#: A token is renewed when it has less than this left.
MARGIN_SECONDS = 300
_SHARED_TENANTS = frozenset({"common", "organizations", "consumers"})

#: What Entra ID refuses, by AADSTS number (Dataverse page 1.3), as setting and sentence.
_REFUSALS: Mapping[int, tuple[str, str]] = {
    7000215: ("client_secret", "is not a secret of this application (the value is wanted, not its id)."),
    7000222: ("client_secret", "has expired; create a new one for the application."),
    700027: ("client_certificate", "is not registered with this application."),
    700016: ("client_id", "is no application of this tenant."),
    90002: ("tenant_id", "there is no such tenant."),
    90133: ("tenant_id", "is required: this flow does not work across tenants."),
    9001023: ("tenant_id", "is required: a password is not accepted without naming the tenant."),
    50126: ("password", "user name or password is wrong."),
    50034: ("username", "there is no such user in this tenant."),
    50055: ("password", "has expired."),
    50057: ("username", "the account is disabled."),
    50076: (
        "username",
        "must confirm a second factor, which a pipeline cannot do; sign in as an application, without `username`.",
    ),
    50079: (
        "username",
        "must enrol a second factor, which a pipeline cannot do; sign in as an application, without `username`.",
    ),
    500011: ("resource", "there is no such organisation in this tenant."),
    70011: ("resource", "is not a valid organisation URL."),
}
#: The same by OAuth error, for services that send no number (AD FS).
_REFUSALS_BY_ERROR: Mapping[str, tuple[str, str]] = {
    "invalid_client": ("client_secret", "the application was refused; check it and `client_id`."),
    "unauthorized_client": ("client_id", "this application may not sign in this way."),
    "invalid_grant": ("password", "user name or password was refused."),
    "interaction_required": _REFUSALS[50076],
    "invalid_resource": ("resource", "there is no such organisation."),
    "invalid_scope": ("resource", "is not a valid organisation URL."),
}


@dataclass(frozen=True)
class Credentials:
    """The settings that matter for sign-in, by their names."""

    organization_url: str
    client_id: str
    client_secret: str | None = None
    client_certificate: str | None = None
    tenant_id: str | None = None
    auth_endpoint_url: str | None = None
    resource: str | None = None
    username: str | None = None
    password: str | None = None

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], organization_url: str) -> Credentials:
        """From a tap's or target's settings; empty texts count as absent."""
        names = cls.__dataclass_fields__.keys() - {"organization_url"}
        given: dict[str, Any] = {name: settings.get(name) or None for name in names}
        return cls(organization_url=organization_url, **given)

    def __post_init__(self) -> None:
        if not self.client_id:
            raise SettingError("client_id", "is required.")
        if self.username and not self.password:
            raise SettingError("password", "is required with `username`.")
        if not self.username and not (self.client_secret or self.client_certificate):
            raise SettingError("client_secret", "is required (or `client_certificate`, or `username` and `password`).")

    @property
    def scope(self) -> str:
        """The scope to ask for: of a user, or of the application (Dataverse page 1.2)."""
        resource = secure_origin("resource", self.resource) if self.resource else self.organization_url
        return f"{resource}/{'user_impersonation' if self.username else '.default'}"

    @property
    def authority(self) -> str:
        """The authority for MSAL, ``https://host/tenant``.

        Raises:
            SettingError: no tenant where one is needed, or two different ones.
        """
        host, tenant = login_host(self.organization_url), self.tenant_id
        if self.auth_endpoint_url:
            host, tenant = self._endpoint_host(host), self._endpoint_tenant()
        if not tenant:
            raise SettingError("tenant_id", "is required, unless `auth_endpoint_url` names the tenant.")
        if tenant in _SHARED_TENANTS:
            if not self.username:
                raise SettingError(
                    "tenant_id", f"is required: an application cannot sign in at /{tenant}, only a user can."
                )
            if tenant == "common":
                logger.warning("Signing in at /organizations: Entra ID does not accept passwords at /common.")
                tenant = "organizations"
        return f"https://{host}/{tenant}"

    def _endpoint_host(self, login: str) -> str:
        assert self.auth_endpoint_url
        parts = urlsplit(secure_origin("auth_endpoint_url", self.auth_endpoint_url))
        if parts.scheme != "https":
            raise SettingError("auth_endpoint_url", "must begin with https://; MSAL takes nothing else.")
        if DYNAMICS_HOST.fullmatch(parts.hostname or ""):
            logger.warning("Setting `auth_endpoint_url` names an organisation; signing in at %s instead.", login)
            return login
        return parts.netloc

    def _endpoint_tenant(self) -> str:
        """The first segment of the path; ``tenant_id`` stands in for a shared one."""
        assert self.auth_endpoint_url
        named = urlsplit(self.auth_endpoint_url.strip()).path.strip("/").partition("/")[0]
        if not self.tenant_id or named == self.tenant_id:
            return named
        if named and named not in _SHARED_TENANTS:
            raise SettingError("tenant_id", "names another tenant than `auth_endpoint_url`.")
        return self.tenant_id


class _UnavailableError(OutageError):
    """The sign-in service has no answer; ask again after ``wait`` seconds."""

    def __init__(self, authority: str, wait: float, *, answered: bool) -> None:
        self.wait, self.answered = wait, answered
        problem = "is not available" if answered else "could not be reached"
        super().__init__(
            f"The sign-in service at {http.origin(authority)} {problem} (settings `auth_endpoint_url`, `tenant_id`)."
        )


class SignIn(AuthBase):
    """Puts a bearer token on requests to the organisation, and on nobody else's. Safe for threads."""

    def __init__(self, credentials: Credentials, ca_bundle: str | None = None) -> None:
        self._credentials = credentials
        self._authority = credentials.authority
        self._scope = credentials.scope
        self._ca_bundle = ca_bundle
        self._lock = threading.Lock()
        self._token = ""
        self._expires = 0.0

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign the request."""
        if http.origin(r.url or "") != self._credentials.organization_url:
            raise SettingError("organization_url", "the service pointed to another host; its token stays here.")
        r.headers["Authorization"] = f"Bearer {self.token()}"
        return r

    def token(self) -> str:
        """A token that is good for some minutes."""
        with self._lock:
            if time.time() > self._expires - MARGIN_SECONDS:
                self._sign_in()
            return self._token

    def renew(self, refused: requests.PreparedRequest) -> bool:
        """A new token, unless another thread has got one since ``refused`` was signed."""
        with self._lock:
            if refused.headers.get("Authorization") == f"Bearer {self._token}":
                self._sign_in()
        return True

    @property
    def _place(self) -> str:
        """The setting that says where to sign in."""
        return "auth_endpoint_url" if self._credentials.auth_endpoint_url else "tenant_id"

    def _sign_in(self) -> None:
        tries = 0

        def ask() -> Mapping[str, Any]:
            nonlocal tries
            tries += 1
            return self._ask(tries)

        def give_up(error: Exception) -> bool:
            # One that never answered is more likely a wrong setting.
            assert isinstance(error, _UnavailableError)
            return tries >= (retry.MAX_TRIES if error.answered else retry.MAX_TRIES_FIRST_CONTACT)

        loop = backoff.on_exception(
            backoff.runtime,
            _UnavailableError,
            value=lambda error: error.wait,
            jitter=None,
            giveup=give_up,
            max_time=retry.PATIENCE_SECONDS,
            logger=None,
        )
        reply = loop(ask)()
        if "access_token" not in reply:
            raise refusal(reply, self._credentials)
        try:
            lives = float(reply.get("expires_in", 0))
        except (TypeError, ValueError):
            lives = 0.0  # it will do for now
        self._token = str(reply["access_token"])
        self._expires = time.time() + lives

    def _ask(self, tries: int) -> Mapping[str, Any]:
        """Ask MSAL once. A new application each time: it replays failures from memory (Dataverse page 1.4)."""
        session = http.new_session(self._ca_bundle)
        answered = False

        def look(response: requests.Response, **_: Any) -> None:
            """Before MSAL sees it: what is no answer to the question is an outage."""
            nonlocal answered
            answered = True
            if response.is_redirect:
                raise ValueError("nobody is followed elsewhere with a secret")
            busy = retry.decide(response.status_code, repeatable=True) is retry.Action.RETRY
            if busy or (response.ok and not _is_json(response.content)):
                asked = retry.retry_after(response.headers, time.time())
                raise _UnavailableError(self._authority, retry.pause(tries, asked), answered=True)

        session.hooks["response"].append(look)
        try:
            reply: Mapping[str, Any] = self._flow(session)
        except requests.exceptions.SSLError:
            raise http.untrusted(self._authority) from None
        except http.InsecureError:
            raise SettingError(
                self._place, f"the sign-in at {self._authority} leads to an address without TLS."
            ) from None
        except requests.RequestException:
            raise _UnavailableError(self._authority, retry.pause(tries, None), answered=answered) from None
        except ConnectorError:
            raise
        except OSError:
            raise SettingError("ca_bundle", "this file of certificates cannot be read.") from None
        except (ValueError, LookupError, TypeError, AttributeError):  # how MSAL meets documents of another shape
            raise SettingError(self._place, f"there is no sign-in at {self._authority}.") from None
        finally:
            session.close()
        return reply

    def _flow(self, session: requests.Session) -> Any:
        own = self._credentials
        common = {
            # The authority is the user's own choice; discovery would ask another host about it.
            "instance_discovery": False,
            "authority": self._authority,
            "http_client": session,
        }
        secret = own.client_secret or (_certificate(own.client_certificate) if own.client_certificate else None)
        if not own.username:
            app = msal.ConfidentialClientApplication(own.client_id, client_credential=secret, **common)
            return app.acquire_token_for_client([self._scope])
        kind = msal.ConfidentialClientApplication if secret else msal.PublicClientApplication
        app = kind(own.client_id, client_credential=secret, **common)
        with warnings.catch_warnings():
            # The document asks for this flow; MSAL would rather not (Dataverse page 1.2).
            warnings.simplefilter("ignore", DeprecationWarning)
            return app.acquire_token_by_username_password(own.username, own.password, [self._scope])


def refusal(reply: Mapping[str, Any], credentials: Credentials) -> SettingError:
    """The setting to mend, from MSAL's reply. The description is not passed on: it may name the user."""
    error = str(reply.get("error", ""))
    codes = reply.get("error_codes") or []
    for code in codes:
        if code in _REFUSALS:
            setting, problem = _REFUSALS[code]
            break
    else:
        setting, problem = _REFUSALS_BY_ERROR.get(error, ("client_id", "sign-in was refused."))
    if setting == "resource" and not credentials.resource:
        setting = "organization_url"
    if setting == "tenant_id" and not credentials.tenant_id:
        setting = "auth_endpoint_url"
    said = ", ".join([error, *(f"AADSTS{code}" for code in codes)])
    return SettingError(setting, f"{problem.rstrip('.')} ({said})." if said else problem)


def _is_json(content: bytes) -> bool:
    """Whether it is an object, as all answers of a sign-in are."""
    try:
        return isinstance(msgspec.json.decode(content), dict)
    except (ValueError, RecursionError):
        return False


def _certificate(path: str) -> dict[str, str]:
    """MSAL's form of a certificate with its private key: a PEM file that holds both, or a PFX file."""
    file = Path(path)
    try:
        if file.suffix.lower() in {".pfx", ".p12"}:
            file.read_bytes()
            return {"private_key_pfx_path": str(file)}
        text = file.read_text(encoding="ascii")
    except (OSError, UnicodeError):
        raise SettingError("client_certificate", "this file cannot be read as PEM or PFX.") from None
    if "PRIVATE KEY-----" not in text or "BEGIN CERTIFICATE-----" not in text:
        raise SettingError("client_certificate", "must hold the private key and the certificate, both PEM.")
    return {"private_key": text, "public_certificate": text}
