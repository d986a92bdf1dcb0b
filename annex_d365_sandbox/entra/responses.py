"""The token endpoint and the documents around it (Dataverse page 1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from annex_d365_sandbox.entra import errors
from annex_d365_sandbox.entra.models import LIFETIME, Application, Directory, User
from annex_d365_sandbox.wire import Reply, Request

_SHARED = ("common", "organizations")
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
#: Scopes that ask for parts of the reply and not for a resource.
_RESERVED = frozenset({"openid", "profile", "offline_access", "email"})


def https_origin(request: Request) -> str:
    """The address that documents advertise: always https, as MSAL takes nothing else (Dataverse page 1.4)."""
    return f"https://{urlsplit(request.origin).netloc}"


@dataclass(frozen=True)
class Granted:
    """Whom a grant let in; a grant of an application alone has no user."""

    application: Application
    user: User | None


class Responses:
    """The handlers of one directory."""

    def __init__(self, directory: Directory, now: Callable[[], Any]) -> None:
        self._directory, self._now = directory, now
        self._grants: Mapping[str, Callable[[Request, Mapping[str, str], str], Granted]] = {
            "client_credentials": self._client_credentials,
            "password": self._password,
            "refresh_token": self._refresh,
        }

    def discovery_v2(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """OpenID configuration of a tenant."""
        tenant = self._tenant(parts)
        base = f"{https_origin(request)}/{tenant}"
        issuer = f"{https_origin(request)}/{self._directory.tenant_id if tenant in _SHARED else tenant}/v2.0"
        return Reply.json(_configuration(f"{base}/oauth2/v2.0", issuer))

    def discovery_adfs(self, request: Request, _parts: Mapping[str, str]) -> Reply:
        """OpenID configuration of AD FS."""
        base = f"{https_origin(request)}/adfs"
        return Reply.json(_configuration(f"{base}/oauth2", base))

    def instance(self, request: Request, _parts: Mapping[str, str]) -> Reply:
        """Instance discovery: any host is known here."""
        authority = urlsplit(request.params.get("authorization_endpoint", ""))
        tenant = authority.path.strip("/").split("/")[0] or "common"
        endpoint = f"https://{authority.netloc or urlsplit(request.origin).netloc}/{tenant}/v2.0"
        return Reply.json(
            {
                "tenant_discovery_endpoint": f"{endpoint}/.well-known/openid-configuration",
                "api-version": request.params.get("api-version", "1.1"),
                "metadata": [],
            }
        )

    def user_realm(self, _request: Request, parts: Mapping[str, str]) -> Reply:
        """Whether a user signs in here; nobody of the sandbox is federated."""
        known = parts["user"].rpartition("@")[2].lower() == self._directory.tenant_domain
        return Reply.json(
            {
                "ver": "1.0",
                "account_type": "Managed" if known else "Unknown",
                "domain_name": parts["user"].rpartition("@")[2],
                "cloud_instance_name": "microsoftonline.com",
                "cloud_audience_urn": "urn:federation:MicrosoftOnline",
            }
        )

    def token_v2(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """The scope-based endpoint: numbers are numbers, password not on ``/common``."""
        tenant, form = self._tenant(parts), request.form
        if form.get("grant_type") == "password" and tenant == "common":
            raise errors.password_on_common()
        granted = self._grant(request, form, tenant)
        resource = self._resource_of_scope(request, form)
        body: dict[str, Any] = {
            "token_type": "Bearer",
            "expires_in": LIFETIME,
            "ext_expires_in": LIFETIME,
            **self._tokens(granted, resource, f"{https_origin(request)}/{self._directory.tenant_id}/v2.0"),
        }
        if granted.user:
            body["scope"] = form.get("scope", "")
        return Reply.json(body)

    def token_v1(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """The resource-based endpoint: every value is a string (Dataverse page 1.1)."""
        tenant, form = self._tenant(parts), request.form
        granted = self._grant(request, form, tenant)
        if "resource" not in form:
            raise errors.missing_parameter("resource")
        resource = self._directory.check_resource(form["resource"], self._own(request))
        now = int(self._now().timestamp())
        body = {
            "token_type": "Bearer",
            "expires_in": str(LIFETIME),
            "ext_expires_in": str(LIFETIME),
            "expires_on": str(now + LIFETIME),
            "not_before": str(now),
            "resource": form["resource"],
            **self._tokens(granted, resource, f"https://sts.windows.net/{self._directory.tenant_id}/"),
        }
        if granted.user:
            body["scope"] = "user_impersonation"
        return Reply.json(body)

    def token_adfs(self, request: Request, _parts: Mapping[str, str]) -> Reply:
        """AD FS: takes a resource, or a scope as MSAL sends it."""
        form = request.form
        granted = self._grant(request, form, self._directory.tenant_id)
        if "resource" in form:
            resource = self._directory.check_resource(form["resource"], self._own(request))
        else:
            resource = self._resource_of_scope(request, form)
        return Reply.json(
            {
                "token_type": "bearer",
                "expires_in": LIFETIME,
                **self._tokens(granted, resource, f"{https_origin(request)}/adfs"),
            }
        )

    def failure(self, error: errors.SignInError) -> Reply:
        """The reply for a refused sign-in."""
        switches = self._directory.switches
        status = {"all_400": 400, "all_401": 401}.get(switches.error_status, error.status)
        return Reply.json(error.body(self._now(), numbered=switches.error_numbers), status)

    def _tenant(self, parts: Mapping[str, str]) -> str:
        tenant = parts["tenant"]
        if tenant not in _SHARED and not self._directory.knows_tenant(tenant):
            raise errors.unknown_tenant(tenant)
        return tenant

    def _own(self, request: Request) -> tuple[str, str]:
        return request.origin, https_origin(request)

    def _grant(self, request: Request, form: Mapping[str, str], tenant: str) -> Granted:
        grant = form.get("grant_type", "")
        if not grant:
            raise errors.missing_parameter("grant_type")
        if grant not in self._grants:
            raise errors.unsupported_grant(grant)
        if not form.get("client_id"):
            raise errors.missing_parameter("client_id")
        return self._grants[grant](request, form, tenant)

    def _client_credentials(self, request: Request, form: Mapping[str, str], tenant: str) -> Granted:
        if tenant in _SHARED:
            raise errors.no_tenant_for_client()
        application = self._directory.application(form["client_id"])
        if "client_secret" not in form and "client_assertion" not in form:
            raise errors.missing_secret()
        self._check_client(request, application, form)
        return Granted(application, None)

    def _password(self, request: Request, form: Mapping[str, str], _tenant: str) -> Granted:
        application = self._directory.application(form["client_id"])
        self._check_client(request, application, form)
        for name in ("username", "password"):
            if name not in form:
                raise errors.missing_parameter(name)
        user = self._directory.users.get(form["username"].lower())
        if user is None:
            raise errors.unknown_user(self._directory.tenant_id)
        if form["password"] != user.password:
            raise errors.wrong_password()
        if user.needs_mfa:
            raise errors.mfa_needed()
        return Granted(application, user)

    def _refresh(self, request: Request, form: Mapping[str, str], _tenant: str) -> Granted:
        application = self._directory.application(form["client_id"])
        self._check_client(request, application, form)
        if "refresh_token" not in form:
            raise errors.missing_parameter("refresh_token")
        return Granted(application, self._directory.refreshed(application, form["refresh_token"]))

    def _check_client(self, request: Request, application: Application, form: Mapping[str, str]) -> None:
        """A credential must be right where one is given; a user's grant may come without (Dataverse page 1.1)."""
        if "client_assertion" in form:
            if form.get("client_assertion_type") != _ASSERTION:
                raise errors.bad_assertion("unknown client_assertion_type")
            endpoint = f"{https_origin(request)}{request.path}"
            self._directory.check_assertion(application, form["client_assertion"], endpoint)
        elif "client_secret" in form and form["client_secret"] != application.secret:
            raise errors.wrong_secret(application.client_id)

    def _resource_of_scope(self, request: Request, form: Mapping[str, str]) -> str:
        scope = form.get("scope", "")
        wanted = [part for part in scope.split() if part not in _RESERVED]
        resources = {part.rpartition("/")[0] for part in wanted}
        if len(resources) != 1 or not all(part.startswith("https://") for part in wanted):
            raise errors.bad_scope(scope)
        if form.get("grant_type") == "client_credentials" and not wanted[0].endswith("/.default"):
            raise errors.bad_scope(scope)
        return self._directory.check_resource(resources.pop(), self._own(request))

    def _tokens(self, granted: Granted, resource: str, issuer: str) -> dict[str, str]:
        application, user, directory = granted.application, granted.user, self._directory
        tokens = {"access_token": directory.access_token(resource, application, user)}
        if user:
            tokens["refresh_token"] = directory.refresh_token(application, user)
            tokens["id_token"] = directory.id_token(application, user, issuer)
            tokens["client_info"] = directory.client_info(user)
        return tokens


def _configuration(base: str, issuer: str) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{base}/authorize",
        "token_endpoint": f"{base}/token",
        "device_authorization_endpoint": f"{base}/devicecode",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
        "response_types_supported": ["code", "id_token", "token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }
