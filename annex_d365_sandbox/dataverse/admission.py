"""The door of the Web API: token, membership, size of the body, privileged headers (Dataverse page 1.2, 2.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from annex_d365_sandbox.dataverse import errors
from annex_d365_sandbox.dataverse.derived import USER_ID
from annex_d365_sandbox.dataverse.models import Organisation
from annex_d365_sandbox.entra.models import Directory
from annex_d365_sandbox.wire import Request

_API_HOST = re.compile(r"^(https?://[^./]+)\.api\.(crm\d*\.)")
#: Headers that switch custom business logic off. There is none in the sandbox, so that only the privilege counts.
_BYPASSES = ("mscrm.bypasscustompluginexecution", "mscrm.bypassbusinesslogicexecution")


def authorise(request: Request, organisation: Organisation, directory: Directory) -> None:
    """The token must be good for this organisation, its user a member. Raises ``DataverseError``."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    audience = directory.audience(token.strip()) if scheme.lower() == "bearer" else None
    if audience is None or audience not in set(_audiences(request, organisation)):
        raise errors.unauthorised(f"{request.origin}/{directory.tenant_id}", request.origin)
    if not organisation.switches.member:
        raise errors.not_a_member()


def check(request: Request, organisation: Organisation) -> None:
    """Whether a request of this size and with these headers may be served. Raises ``DataverseError``."""
    limit = organisation.switches.max_body_bytes
    if len(request.body) > limit:
        raise errors.too_large(limit)
    bypasses = any(request.headers.get(name, "false").strip().lower() not in ("", "false") for name in _BYPASSES)
    if bypasses and not organisation.switches.may_bypass_custom_logic:
        raise errors.missing_global_privilege("prvBypassCustomBusinessLogic", USER_ID)


def _audiences(request: Request, organisation: Organisation) -> Iterator[str]:
    """What a token may be bound to: the address that the client used, with and without ``.api``, and the sandbox's."""
    yield request.origin
    yield _API_HOST.sub(r"\1.\2", request.origin)
    yield re.sub(r"^(https?://[^./]+)\.(crm\d*\.)", r"\1.api.\2", request.origin)
    yield from organisation.origins
