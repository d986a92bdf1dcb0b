"""What a refusal of Annex Cloud means to the user: one table (Annex page 3).

The status decides; codes are used only where they are documented. The service's own messages may quote a member, so
they are not passed on.
"""

from __future__ import annotations

import msgspec
import requests

from annex_d365.errors import ConnectorError, RowError, ServiceError, SettingError

UNKNOWN_ROUTE = "AC1001"
NOT_AUTHORISED = "AC1002"
NO_DATA = "AC1005"
EXISTS = "AC1006"

_MEANING = {
    "AC1004": "a required field is missing",
    NO_DATA: "it has no such data",
    EXISTS: "it exists already",
}
_MEANING_OF_STATUS = {
    400: "a field is missing or not valid",
    404: "there is no such member",
    409: "it exists already",
    413: "it is too large",
    422: "a field is not valid",
}
#: The status that goes with a code, for errors that arrive as a success (Annex page 3).
_STATUS_OF_CODE = {UNKNOWN_ROUTE: 404, NOT_AUTHORISED: 401, "AC1004": 400, NO_DATA: 404, EXISTS: 409}


class RefusedError(SettingError):
    """A request was refused as if a setting were wrong. What it is, :class:`~annex_d365.annexcloud.judge.Judge` tells.

    Attributes:
        route: that was refused.
        facts: status and code.
    """

    def __init__(self, setting: str, problem: str, *, route: str, facts: str) -> None:
        self.problem, self.route, self.facts = problem, route, facts
        super().__init__(setting, problem)

    @property
    def no_route(self) -> bool:
        """Whether it says that there is no such route, rather than that nobody may use it."""
        return self.setting == "base_url"

    def of_setting(self, *, meanwhile: bool) -> SettingError:
        """The error if other requests are refused, too; ``meanwhile`` says that earlier ones of this run were not."""
        since = " It accepted earlier requests of this run: see what was changed there meanwhile." if meanwhile else ""
        return SettingError(self.setting, self.problem + since)

    def of_route(self) -> ServiceError:
        """The error if other routes are there."""
        return ServiceError(
            f"Annex Cloud offers no {self.route} to this site ({self.facts}), though it answers other requests."
        )

    def of_row(self) -> RowError:
        """The error if other requests are accepted; without a status: nothing is known of what it was about."""
        return RowError(
            f"Annex Cloud refuses {self.route} for this row ({self.facts}), though it accepts other requests."
        )


class InDoubtError(ServiceError):
    """A request that must not be sent twice may have been carried out, or not: its reply got lost, or says nothing."""


class _Error(msgspec.Struct):
    code: str | int | None = msgspec.field(default=None, name="errorCode")


def error_code(content: bytes) -> str | None:
    """The code in a reply, empty where there is none; None for a reply that is no JSON object."""
    try:
        code = msgspec.json.decode(content, type=_Error).code
    except msgspec.MsgspecError:
        return None
    return "" if code is None else str(code)


def explain(response: requests.Response, route: str) -> ConnectorError:
    """The error for a refusal of ``route`` (``PATCH /users/{id}``, without the id, which may be an e-mail address)."""
    code = error_code(response.content)
    status = response.status_code
    if requests.codes.ok <= status < requests.codes.multiple_choices:
        status = status_of(code or "") or status
    return refusal(status, code, route)


def status_of(code: str) -> int | None:
    """The status that goes with a code; None for a code that is not documented."""
    return _STATUS_OF_CODE.get(code)


def not_found(error: RowError) -> bool:
    """Whether a refusal says that there is no such thing: AC1005 comes with 404 or 400 (Annex page 3)."""
    return error.status == requests.codes.not_found or error.code == NO_DATA


def failing_row(route: str, status: int) -> RowError:
    """The error for a row at which the service fails, though it answers other requests."""
    return RowError(f"Annex Cloud fails at {route} for this row ({status}), and answers other requests.", status=status)


def not_understood(route: str) -> ServiceError:
    """The error for an answer of no known shape."""
    return ServiceError(f"Annex Cloud's answer to {route} is of no known shape.", status=requests.codes.ok)


def refusal(status: int, code: str | None, route: str) -> ConnectorError:
    """The table itself: the error for a refusal with this status, and this code where it has one."""
    facts = f"{status} {code}" if code else str(status)
    if status == requests.codes.unauthorized:
        return RefusedError(
            "secret_key",
            f"Annex Cloud does not accept the request's signature ({facts}). Check that the key, `site_id` and "
            "`site_name` are those of one site at `base_url`, and that this machine's clock is right.",
            route=route,
            facts=facts,
        )
    # ASSUMPTION (Annex page 3): AC1001 means that the route is unknown. What has no code is not from the API: taken for
    # a member that does not exist, it would make a wrong address look like a run with nothing to do.
    no_api = status == requests.codes.not_found and (not code or code == UNKNOWN_ROUTE)
    if no_api or requests.codes.multiple_choices <= status < requests.codes.bad_request:
        problem = f"there is no Loyalty API 3.0 at this address ({route} answered {facts})."
        return RefusedError("base_url", problem, route=route, facts=facts)
    if status in _MEANING_OF_STATUS:
        meaning = _MEANING.get(code or "") or _MEANING_OF_STATUS[status]
        return RowError(f"Annex Cloud refused {route}: {meaning} ({facts}).", status=status, code=code or "")
    return ServiceError(f"Annex Cloud refused {route} ({facts}).", status=status, code=code or "")
