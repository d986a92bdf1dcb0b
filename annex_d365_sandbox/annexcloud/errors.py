"""What goes wrong, as the API says it: a flat ``errorCode`` and ``errorMessage`` (Annex page section 3).

Messages name fields, never values: a member's data stays out of replies, logs and reports.
"""

from __future__ import annotations

NO_DATA, EXISTS, INVALID = "AC1005", "AC1006", "AC1007"


class ApiError(Exception):
    """An error reply. ``reason`` is the sandbox's own word to its operator, beside the service's answer.

    ``fixed`` says that no switch changes the status.
    """

    def __init__(self, status: int, code: str, message: str, reason: str | None = None, *, fixed: bool = False) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.reason = status, code, message, reason
        self.fixed = fixed


def not_found(reason: str | None = None) -> ApiError:
    """The route does not exist. ASSUMPTION (section 3) that AC1001, the generic failure, is its code."""
    return ApiError(404, "AC1001", "Resource not found", reason)


def not_authorized(reason: str) -> ApiError:
    """The request token was refused."""
    return ApiError(401, "AC1002", "Request not authorized", reason)


def missing(*names: str) -> ApiError:
    """Required parameters are absent or empty."""
    return ApiError(400, "AC1004", f"Missing parameters: {', '.join(names)}")


def forbidden(reason: str) -> ApiError:
    """The site has no right to the endpoint. ASSUMPTION: status and code; section 3 has none for it."""
    return ApiError(403, "AC1002", "Request not authorized", reason)


def no_data() -> ApiError:
    """No such thing, or no result; documented as 404 and as 400."""
    return ApiError(404, NO_DATA, "No data found")


def no_page(status: int) -> ApiError:
    """A page after the last."""
    return ApiError(status, NO_DATA, "No data found", fixed=True)


def exists() -> ApiError:
    """The id is taken."""
    return ApiError(409, EXISTS, "Data already exists")


def invalid(what: str) -> ApiError:
    """A value breaks its format. ASSUMPTION (section 3): the code; the documented table is cut after AC1006."""
    return ApiError(400, INVALID, f"Invalid parameters: {what}")
