"""The directory: applications, users, and the tokens that it has given out."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

import jwt
import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from annex_d365_sandbox.clock import Clock
from annex_d365_sandbox.entra import errors
from annex_d365_sandbox.entra.switches import Switches
from annex_d365_sandbox.store import Store

TENANT_ID = "5a0d0000-7e0a-4c0d-8e11-000000000365"
TENANT_DOMAIN = "sandbox.example"
CLIENT_ID = "5a0d0000-c11e-4c0d-8e11-000000000001"
CLIENT_SECRET = "sandbox-client-secret"  # noqa: S105 - the sandbox's own, published in its documentation
USERNAME = "loyalty.sync@sandbox.example"
MFA_USERNAME = "loyalty.mfa@sandbox.example"
PASSWORD = "sandbox-password"  # noqa: S105
#: A refresh token that is always good for the plain user, so that a settings file can name it.
REFRESH_TOKEN = "sandbox-refresh-token"  # noqa: S105
#: Public clients that exist in every tenant (Dataverse page 1.1).
SAMPLE_CLIENTS = ("51f81489-12ee-4a9e-aaae-a2591f45987d", "2ad88395-b77d-4561-9441-d0e40824f9bc")

#: Life of an access token in seconds (Dataverse page 1.2).
LIFETIME = 3599
_DYNAMICS = re.compile(
    r"https://[a-z0-9-]+(\.api)?\.crm\d*\.(dynamics\.com|microsoftdynamics\.(us|de)|dynamics\.cn|appsplatform\.us)"
)


@dataclass
class Application:
    """A registered application; one without secret and certificates is a public client."""

    client_id: str
    secret: str | None = None
    certificates: list[RSAPublicKey] = field(default_factory=list)

    @property
    def public(self) -> bool:
        """Whether it signs in without a credential of its own."""
        return self.secret is None and not self.certificates


@dataclass
class User:
    """A person who signs in with a password."""

    username: str
    password: str
    needs_mfa: bool = False

    @property
    def object_id(self) -> str:
        """The user's id in the directory."""
        return str(uuid5(NAMESPACE_DNS, self.username))


class Directory:
    """One tenant. Tokens are JWTs signed with a key kept in the store, so that a restart leaves them good."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self.tenant_id, self.tenant_domain = TENANT_ID, TENANT_DOMAIN
        self.applications = {CLIENT_ID: Application(CLIENT_ID, CLIENT_SECRET)}
        self.applications |= {client_id: Application(client_id) for client_id in SAMPLE_CLIENTS}
        self.users = {
            user.username: user for user in (User(USERNAME, PASSWORD), User(MFA_USERNAME, PASSWORD, needs_mfa=True))
        }
        self.switches = Switches()
        #: Origins that are resources here besides the hosts of Dynamics 365.
        self.origins: set[str] = set()
        with store.transaction() as db:
            db.execute("CREATE TABLE IF NOT EXISTS entra_key (value TEXT NOT NULL, generation INTEGER NOT NULL)")
            if not (row := db.execute("SELECT value FROM entra_key").fetchone()):
                db.execute("INSERT INTO entra_key VALUES (?, 0)", [secrets.token_hex(32)])
                row = db.execute("SELECT value FROM entra_key").fetchone()
        self._key: str = row[0]

    def register_certificate(self, client_id: str, pem: bytes) -> None:
        """Let an application sign in with the key of this certificate (PEM, RSA)."""
        key = x509.load_pem_x509_certificate(pem).public_key()
        if not isinstance(key, RSAPublicKey):
            raise TypeError("The certificate must hold an RSA key.")
        self.applications[client_id].certificates.append(key)

    def knows_tenant(self, name: str) -> bool:
        """Whether the name or id is this tenant's."""
        return name.lower() in (self.tenant_id, self.tenant_domain)

    def application(self, client_id: str) -> Application:
        """The application. Raises ``SignInError``."""
        if client_id not in self.applications:
            raise errors.unknown_application(client_id)
        return self.applications[client_id]

    def check_resource(self, resource: str, also: Iterable[str] = ()) -> str:
        """The resource without its trailing slash. Raises ``SignInError`` unless it is Dataverse or the sandbox."""
        name = resource.rstrip("/").lower()
        if name in self.origins or name in set(also) or _DYNAMICS.fullmatch(name):
            return name
        raise errors.unknown_resource(resource)

    def check_assertion(self, application: Application, assertion: str, endpoint: str) -> None:
        """Verify a client assertion: one of the application's keys, issuer, subject, audience, life."""
        reason = "no certificate is registered"
        for key in application.certificates:
            try:
                claims = jwt.decode(
                    assertion, key, ["RS256", "PS256"], audience=endpoint, options={"verify_exp": False}
                )
            except jwt.PyJWTError as error:
                reason = str(error)
                continue
            if claims.get("iss") != application.client_id or claims.get("sub") != application.client_id:
                reason = "issuer and subject must be the application"
            elif float(claims.get("exp", 0)) < self._clock.now().timestamp():
                reason = "the assertion has expired"
            else:
                return
        raise errors.bad_assertion(reason)

    def access_token(self, resource: str, application: Application, user: User | None) -> str:
        """A token for a resource."""
        now = int(self._clock.now().timestamp())
        subject = {"upn": user.username, "oid": user.object_id} if user else {"oid": application.client_id}
        return self._sign(
            {
                "aud": resource,
                "iss": f"https://sts.windows.net/{self.tenant_id}/",
                "iat": now,
                "nbf": now,
                "exp": now + LIFETIME,
                "appid": application.client_id,
                "tid": self.tenant_id,
                "generation": self._generation(),
                **subject,
            }
        )

    def refresh_token(self, application: Application, user: User) -> str:
        """A token that stands for the user's password."""
        return self._sign({"use": "refresh", "appid": application.client_id, "upn": user.username})

    def refreshed(self, application: Application, token: str) -> User:
        """Whom a refresh token stands for. Raises ``SignInError``."""
        if token == REFRESH_TOKEN:
            return self.users[USERNAME]
        claims = self._claims(token)
        user = self.users.get(str(claims.get("upn", "")))
        if claims.get("use") != "refresh" or claims.get("appid") != application.client_id or user is None:
            raise errors.bad_refresh_token()
        return user

    def id_token(self, application: Application, user: User, issuer: str) -> str:
        """Who the user is, for the client's cache."""
        now = int(self._clock.now().timestamp())
        return self._sign(
            {
                "aud": application.client_id,
                "iss": issuer,
                "iat": now,
                "exp": now + LIFETIME,
                "sub": user.object_id,
                "oid": user.object_id,
                "tid": self.tenant_id,
                "preferred_username": user.username,
                "upn": user.username,
                "ver": "2.0",
            }
        )

    def client_info(self, user: User) -> str:
        """The account's key in MSAL's cache."""
        body = msgspec.json.encode({"uid": user.object_id, "utid": self.tenant_id})
        return base64.urlsafe_b64encode(body).rstrip(b"=").decode()

    def audience(self, token: str) -> str | None:
        """The resource that an access token is bound to; ``None`` if it is not one of ours or has expired."""
        claims = self._claims(token)
        if not claims.get("aud") or claims.get("generation") != self._generation():
            return None
        return str(claims["aud"]) if claims["exp"] > self._clock.now().timestamp() else None

    def expire_tokens(self) -> None:
        """Make every access token given out so far count as expired; refresh tokens stay good."""
        with self._store.transaction() as db:
            db.execute("UPDATE entra_key SET generation = generation + 1")

    def _generation(self) -> int:
        with self._store.transaction() as db:
            return int(db.execute("SELECT generation FROM entra_key").fetchone()[0])

    def _sign(self, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, self._key, "HS256")

    def _claims(self, token: str) -> dict[str, Any]:
        # Time goes by the sandbox's clock, so that PyJWT must not look at the real one.
        off = {"verify_exp": False, "verify_aud": False, "verify_nbf": False, "verify_iat": False}
        try:
            return dict(jwt.decode(token, self._key, ["HS256"], options=off))  # type: ignore[arg-type]
        except jwt.PyJWTError:
            return {}
