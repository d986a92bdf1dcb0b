"""Faults on purpose: which requests they hit, and what then happens to them."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from types import NoneType
from typing import Any, Literal, get_args

from annex_d365_sandbox.wire import Reply, Request

Kind = Literal["status", "latency", "drop", "truncate", "html", "lost_reply", "expired_token", "expired_delta_token"]

_GATEWAY = "<html><head><title>{status}</title></head><body><h1>{status} - Gateway error</h1></body></html>"
_DELTA_TOKEN = re.compile(r"((?:\$|%24)deltatoken=)[^&]*", re.IGNORECASE)
_LONG_AGO = "0%2101%2f01%2f2000%2000%3a00%3a00"


@dataclass
class Fault:
    """One fault.

    ``status`` answers with ``status``, ``code``, ``message`` and ``retry_after`` instead of the service; ``html`` with
    a gateway's page. ``latency`` waits ``seconds`` first. ``drop`` closes the connection before the service sees the
    request, ``lost_reply`` after it has done its work. ``truncate`` sends half of the body. ``expired_token`` makes the
    service see no token, ``expired_delta_token`` a delta token from long ago; the latter hits only requests with one.
    """

    kind: Kind
    #: Regular expression, searched in the decoded path.
    route: str = ""
    method: str | None = None
    status: int = 503
    code: str | None = None
    message: str = "A fault on purpose."
    retry_after: float | str | None = None
    seconds: float = 0
    #: Hit so many requests, then stop; without a count (and probability) every one.
    count: int | None = None
    #: Hit each request with this probability.
    probability: float | None = None
    #: Let so many fitting requests pass first.
    after: int = 0
    #: How many requests it has hit.
    hits: int = 0
    _pattern: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}, not {self.kind!r}")
        for name, (kinds, fits) in _SETTINGS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, kinds) or not fits(value):
                raise ValueError(f"a fault's {name} cannot be {value!r}")
        self._pattern = re.compile(self.route)

    def fits(self, request: Request) -> bool:
        """Whether the request is on its route."""
        if self.kind == "expired_delta_token" and not _DELTA_TOKEN.search(request.query):
            return False
        return (self.method or request.method).upper() == request.method and bool(self._pattern.search(request.path))

    def strikes(self, chance: random.Random) -> bool:
        """Whether it hits a fitting request; counts."""
        if self.after > 0:
            self.after -= 1
            return False
        if self.count is not None and self.hits >= self.count:
            return False
        if self.probability is not None and chance.random() >= self.probability:
            return False
        self.hits += 1
        return True

    def disguised(self, request: Request) -> Request:
        """The request as the service sees it."""
        if self.kind == "expired_token":
            kept = {name: value for name, value in request.headers.items() if name != "authorization"}
            return replace(request, headers=kept)
        if self.kind == "expired_delta_token":
            return replace(request, query=_DELTA_TOKEN.sub(rf"\g<1>{_LONG_AGO}", request.query))
        return request

    def reply(self, request: Request) -> Reply:
        """What the client gets instead of the service's answer, in the shape of that service."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        if self.kind == "html":
            page = _GATEWAY.format(status=self.status).encode()
            return Reply(self.status, page, {"Content-Type": "text/html", **headers})
        if request.path.startswith("/api/data/"):
            body: dict[str, Any] = {"error": {"code": self.code or "0x80040216", "message": self.message}}
        elif request.path.startswith("/api/"):
            body = {"errorCode": self.code or "AC1000", "errorMessage": self.message}
        else:
            body = {"error": self.code or "temporarily_unavailable", "error_description": self.message}
        return Reply.json(body, self.status, headers)

    def describe(self) -> dict[str, Any]:
        """The fault as JSON."""
        return {name: value for name, value in asdict(self).items() if not name.startswith("_")}


def _plain(text: str | None) -> bool:
    """Whether a text can be a header or a name."""
    return text is None or text.isprintable()


def _number(value: float | None) -> bool:
    return value is None or 0 <= value < _MOST


def _after(value: float | str | None) -> bool:
    return _plain(value) if isinstance(value, str) else _number(value)


_MOST, _STATUSES = 1e9, range(200, 600)
#: Type and range of each setting; what it is not may be sent to the control plane, too.
_SETTINGS: dict[str, tuple[Any, Callable[[Any], bool]]] = {
    "route": (str, lambda _: True),
    "method": ((str, NoneType), _plain),
    "status": (int, lambda value: value in _STATUSES),
    "code": ((str, NoneType), _plain),
    "message": (str, lambda _: True),
    "retry_after": ((int, float, str, NoneType), _after),
    "seconds": ((int, float), _number),
    "count": ((int, NoneType), _number),
    "probability": ((int, float, NoneType), _number),
    "after": (int, _number),
}


class Faults:
    """The faults in force."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._chance = random.Random(0)

    def add(self, **settings: Any) -> Fault:
        """Put a fault in force. Raises ``ValueError`` for a setting that it does not have."""
        known = {f.name for f in fields(Fault) if f.init} - {"hits"}
        if unknown := settings.keys() - known:
            raise ValueError(f"a fault has no setting {', '.join(sorted(unknown))}")
        try:
            fault = Fault(**settings)
        except (TypeError, re.error) as error:
            raise ValueError(str(error)) from error
        with self._lock:
            self._faults.append(fault)
        return fault

    def strike(self, request: Request) -> list[Fault]:
        """The faults that hit this request: waits, and the first of the others."""
        with self._lock:
            hit: list[Fault] = []
            for fault in self._faults:
                taken = fault.kind != "latency" and any(other.kind != "latency" for other in hit)
                if not taken and fault.fits(request) and fault.strikes(self._chance):
                    hit.append(fault)
            return hit

    def entries(self) -> list[dict[str, Any]]:
        """All faults as JSON."""
        with self._lock:
            return [fault.describe() for fault in self._faults]

    def clear(self) -> None:
        """Take all faults out of force, and begin the same row of chances again."""
        with self._lock:
            self._faults.clear()
            self._chance = random.Random(0)
