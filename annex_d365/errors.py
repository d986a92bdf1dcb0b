"""Everything that can go wrong, by what the user can do about it.

ConnectorError
├── SettingError     a setting is missing, wrong, or refused by a service: mend the setting
│   └── PrivilegeError   the user of the settings may not do this
└── ServiceError     a service did not do what it was asked
    ├── RowError     it refused this row; the others go on
    │   └── RepeatedError  perhaps because it has carried out an earlier sending of the same request
    └── OutageError  it could not be reached, or failed for as long as we were patient: run again later

Messages are sentences for the person who runs the pipeline. They never hold a secret, a response body or member data.
"""

from __future__ import annotations


class ConnectorError(Exception):
    """Ends the run with one sentence and exit code 1; a bug, in contrast, shows its traceback."""


class SettingError(ConnectorError):
    """A setting has to be changed before a run can succeed."""

    def __init__(self, setting: str, problem: str) -> None:
        self.setting = setting
        super().__init__(f"Setting `{setting}`: {problem}")


class PrivilegeError(SettingError):
    """The user that the settings name lacks a privilege."""


class ServiceError(ConnectorError):
    """A service answered with an error.

    Attributes:
        status: HTTP status.
        code: the service's own code, ``0x80060888`` or ``AC1005``; empty where it sent none.
        request_id: what the service calls this request, for its support.
    """

    def __init__(self, message: str, *, status: int = 0, code: str = "", request_id: str = "") -> None:
        self.status, self.code, self.request_id = status, code, request_id
        super().__init__(message)


class RowError(ServiceError):
    """This row cannot be written as it is; no other row is affected."""


class RepeatedError(RowError):
    """A request was refused after it had been sent before, with a reply that got lost: that may be why."""


class OutageError(ServiceError):
    """The service could not be reached, or kept failing."""
