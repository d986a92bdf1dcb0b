"""Errors of the token endpoint (Dataverse page 1.3): a number, a status, an OAuth error and a text."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import uuid4


class SignInError(Exception):
    """A refused sign-in."""

    def __init__(self, number: int, status: int, error: str, text: str) -> None:
        super().__init__(text)
        self.number, self.status, self.error, self.text = number, status, error, text

    def body(self, now: datetime, *, numbered: bool = True) -> dict[str, Any]:
        """The members of the reply; clients are told not to need the numbers."""
        trace, correlation, stamp = str(uuid4()), str(uuid4()), f"{now:%Y-%m-%d %H:%M:%SZ}"
        number = f"AADSTS{self.number}: " if numbered else ""
        return {
            "error": self.error,
            "error_description": f"{number}{self.text} Trace ID: {trace} Correlation ID: {correlation}"
            f" Timestamp: {stamp}",
            **({"error_codes": [self.number]} if numbered else {}),
            "timestamp": stamp,
            "trace_id": trace,
            "correlation_id": correlation,
            **({"error_uri": f"https://login.microsoftonline.com/error?code={self.number}"} if numbered else {}),
        }


def unknown_tenant(tenant: str) -> SignInError:
    """90002."""
    return SignInError(
        90002,
        400,
        "invalid_request",
        f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the"
        " correct cloud.",
    )


def unknown_application(client_id: str) -> SignInError:
    """700016."""
    return SignInError(
        700016, 400, "unauthorized_client", f"Application with identifier '{client_id}' was not found in the directory."
    )


def wrong_secret(client_id: str) -> SignInError:
    """7000215."""
    return SignInError(7000215, 401, "invalid_client", f"Invalid client secret provided for app '{client_id}'.")


def missing_secret() -> SignInError:
    """7000218."""
    return SignInError(
        7000218,
        401,
        "invalid_client",
        "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
    )


def bad_assertion(reason: str) -> SignInError:
    """700027."""
    return SignInError(700027, 401, "invalid_client", f"Client assertion failed signature validation: {reason}.")


def wrong_password() -> SignInError:
    """50126."""
    return SignInError(50126, 400, "invalid_grant", "Error validating credentials due to invalid username or password.")


def unknown_user(directory: str) -> SignInError:
    """50034."""
    return SignInError(50034, 400, "invalid_grant", f"The user account does not exist in the {directory} directory.")


def mfa_needed() -> SignInError:
    """50076."""
    return SignInError(
        50076,
        400,
        "invalid_grant",
        "Due to a configuration change made by your administrator, or because you moved to a new location, you must use"
        " multi-factor authentication to access the resource.",
    )


def unknown_resource(resource: str) -> SignInError:
    """500011."""
    return SignInError(
        500011, 400, "invalid_resource", f"The resource principal named {resource} was not found in the tenant."
    )


def bad_scope(scope: str) -> SignInError:
    """70011."""
    return SignInError(
        70011,
        400,
        "invalid_scope",
        f"The provided request must include a 'scope' input parameter. The provided value for the input parameter"
        f" 'scope' is not valid. The scope {scope} is not valid.",
    )


def bad_refresh_token() -> SignInError:
    """9002313, the code for a refresh token that cannot be read."""
    return SignInError(9002313, 400, "invalid_grant", "Invalid request. Request is malformed or invalid.")


def password_on_common() -> SignInError:
    """9001023."""
    return SignInError(
        9001023,
        400,
        "invalid_request",
        "The grant type is not supported over the /common or /consumers endpoints. Please use the /organizations or"
        " tenant-specific endpoint.",
    )


def no_tenant_for_client() -> SignInError:
    """50059."""
    return SignInError(
        50059,
        400,
        "invalid_request",
        "No tenant-identifying information found in either the request or implied by any provided credentials.",
    )


def unsupported_grant(grant: str) -> SignInError:
    """70003."""
    return SignInError(70003, 400, "unsupported_grant_type", f"The app requested an unsupported grant type '{grant}'.")


def missing_parameter(name: str) -> SignInError:
    """900144."""
    return SignInError(
        900144, 400, "invalid_request", f"The request body must contain the following parameter: '{name}'."
    )
