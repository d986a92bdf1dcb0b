"""A site of Annex Cloud as its checks see it: raw answers, and a few members and segments to look at."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

import msgspec
import requests
from requests.auth import AuthBase

from annex_d365.annexcloud.ahead import Crew
from annex_d365.annexcloud.client import DEFAULT_BASE_URL, path_segment, service_root
from annex_d365.annexcloud.connect import DEFAULT_PARALLEL, connect, signing
from annex_d365.annexcloud.errors import NO_DATA, UNKNOWN_ROUTE, error_code
from annex_d365.annexcloud.members import records
from annex_d365.annexcloud.search import EARLIEST
from annex_d365.annexcloud.segments import Segment, Segments
from annex_d365.annexcloud.token import Credentials, fresh_token
from annex_d365.doctor.model import CannotTellError, Change, Finding, failed, uncovered
from annex_d365.doctor.sides import Side
from annex_d365.doctor.wire import Answer, ask
from annex_d365.errors import ConnectorError, SettingError
from annex_d365.plugin_settings import Settings

#: So many members are looked at, until one has what a check needs.
SAMPLES = 10
_WINDOW_FORM = "%Y-%m-%d %H:%M:%S"
#: Settings of what the documents leave open.
_LEFT_OPEN = ("token_lifetime_seconds", "signed_id_form", "undocumented_get_signs", "segment_words")
_HEADERS = {"Accept": "application/json", "Content-Type": "application/json"}


class _Token(AuthBase):
    """A request token that is made for one look: payload, life and text can be chosen."""

    def __init__(self, credentials: Credentials, token: str) -> None:
        self._credentials, self._token = credentials, token

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        r.headers["Authorization"] = f"Bearer {self._token}"
        r.headers["X-AnnexCloud-Site"] = self._credentials.site_id
        return r


class Site(Side):
    """One site.

    Args:
        plugins: settings of those that reach it.

    Raises:
        SettingError: a setting is missing or cannot be right.
    """

    def __init__(self, plugins: Mapping[str, Settings]) -> None:
        super().__init__(plugins)
        given: Settings = {"base_url": DEFAULT_BASE_URL, "max_parallel_requests": DEFAULT_PARALLEL}
        given.update({name: value for name, value in self.connection.items() if value not in (None, "")})
        for name in ("site_id", "site_name", "secret_key"):
            if not given.get(name):
                raise SettingError(name, "is required.")
        given.update({name: value for name in _LEFT_OPEN if (value := self.setting(name)) not in (None, "")})
        self.root = service_root(given["base_url"])
        self.credentials = Credentials(given["site_id"], given["site_name"], given["secret_key"])
        #: Seconds that the service's clock is ahead of this machine's; known after the first answer.
        self.offset = 0.0
        self._given = given
        self._connect()

    def _connect(self) -> None:
        self.service, self.signing = connect(self._given), signing(self._given)

    def learn(self, setting: str, value: Any) -> tuple[Change, ...]:
        """Go on as if a setting were set like that, so that other checks are not in its way; gives its change."""
        name, _, inner = setting.partition(".")
        self._given[name] = {**(self._given.get(name) or {}), inner: value} if inner else value
        self._connect()
        return self.change(setting, value)

    def token(self, payload: bytes, lifetime: int = 0) -> str:
        """A request token by the service's clock, for one use; with another ``lifetime`` than is set, for a try."""
        end = int(time.time() + self.offset) + (lifetime or self.signing.lifetime)
        return fresh_token(self.credentials, payload, end)

    def get(
        self,
        resource: str,
        identifier: str,
        part: str = "",
        query: Mapping[str, str | int] | None = None,
        *,
        token: str = "",
    ) -> Answer:
        """The answer to a GET; ``token`` takes the place of the usual one."""
        end = f"/{part}" if part else ""
        url = f"{self.root}/{resource}/{path_segment(identifier)}{end}" + (f"?{urlencode(query)}" if query else "")
        own = token or self.token(self.signing.payload(resource, identifier))
        return self._ask("GET", url, f"GET /{resource}/{{id}}{end}", own, None)

    def post(self, resource: str, body: Any, *, repeatable: bool = True) -> Answer:
        """The answer to a POST."""
        content = msgspec.json.encode(body)
        url = f"{self.root}/{resource}"
        return self._ask("POST", url, f"POST /{resource}", self.token(content), content, repeatable=repeatable)

    def patch(self, resource: str, identifier: str, body: Mapping[str, Any]) -> Answer:
        """The answer to a PATCH."""
        content = msgspec.json.encode(body)
        url = f"{self.root}/{resource}/{path_segment(identifier)}"
        return self._ask("PATCH", url, f"PATCH /{resource}/{{id}}", self.token(content), content)

    def _ask(
        self, method: str, url: str, route: str, token: str, body: bytes | None, *, repeatable: bool = True
    ) -> Answer:
        auth = _Token(self.credentials, token)
        return ask(self.service.http, method, url, route, auth, headers=_HEADERS, body=body, repeatable=repeatable)

    def search(self, **criteria: str) -> Answer:
        """The answer to a search for members."""
        return self.post("users/search", {"dataSearch": criteria})

    @property
    def all_time(self) -> dict[str, str]:
        """Criteria of a search for everybody who ever opted in."""
        return window(EARLIEST, datetime.now(timezone.utc))

    @cached_property
    def members(self) -> Sequence[Mapping[str, Any]]:
        """Some members as a search shows them; else as a segment does, which may be ids only. None may be found."""
        answer = self.search(**self.all_time)
        if answer.ok:
            return [each for each in records(inner(answer.body)) if each.get("id")][:SAMPLES]
        return [{"id": each} for segment in self.segments[:SAMPLES] for each in self.some_of(segment)][:SAMPLES]

    @cached_property
    def segments(self) -> list[Segment]:
        """The segments; none where they cannot be read."""
        try:
            return self.list_segments()
        except ConnectorError:
            return []

    def list_segments(self) -> list[Segment]:
        """The segments, by the connector's own reader.

        Raises:
            ConnectorError: they cannot be read.
        """
        with ThreadPoolExecutor(1) as pool:
            return Segments(self.service, Crew(pool, 1)).all()

    def some_of(self, segment: Segment) -> list[str]:
        """Ids of the first members of a segment."""
        answer = self.get("eligiblesegment", segment.segment_id, query={"page": 1})
        body = inner(answer.body) if answer.ok else {}
        listed = body.get("members") or body.get("userId") or [] if isinstance(body, Mapping) else []
        return [str(each.get("id") if isinstance(each, Mapping) else each) for each in listed if each]

    @property
    def someone(self) -> str:
        """The first of :attr:`ids`.

        Raises:
            CannotTellError: there is none.
        """
        if not self.ids:
            raise CannotTellError("There is no member to look at.")
        return self.ids[0]

    @property
    def ids(self) -> list[str]:
        """Ids of :attr:`members`."""
        return [str(each["id"]) for each in self.members]


def window(begin: datetime, end: datetime) -> dict[str, str]:
    """Criteria of a search for members by the time of their opting in."""
    return {"optInStartDate": begin.strftime(_WINDOW_FORM), "optInEndDate": end.strftime(_WINDOW_FORM)}


def nobody() -> str:
    """An id that no member has."""
    return f"annex-d365-doctor-{uuid.uuid4().hex}"


def inner(body: Any) -> Any:
    """What an answer holds, without the envelope that it may be in (Annex page 3)."""
    data = body.get("Data") if isinstance(body, Mapping) else None
    return data if isinstance(data, (list, dict)) else body


def no_data(answer: Answer) -> bool:
    """Whether an answer says that there is no such thing, and not that there is no such route."""
    code = error_code(answer.content)
    return code == NO_DATA or (answer.status == requests.codes.not_found and code not in {"", None, UNKNOWN_ROUTE})


def refused(answer: Answer) -> Finding | None:
    """What it means that a route is refused, though the site answers others; None for any other answer."""
    if answer.status == requests.codes.unauthorized:
        return failed(
            f"{answer.route} is answered as if its signature were wrong, though others are accepted: what it has to "
            "sign is not what is assumed, or the site has no right to it.",
            todo=uncovered("annex_d365/annexcloud/client.py"),
        )
    if answer.status == requests.codes.forbidden or (answer.status == requests.codes.not_found and not no_data(answer)):
        facts = " ".join(filter(None, (str(answer.status), error_code(answer.content))))
        return failed(
            f"Annex Cloud does not offer {answer.route} to this site ({facts}).",
            todo="Ask Annex Cloud to allow it, if a job needs it.",
        )
    return None


def names_of(rows: Sequence[Any]) -> set[str]:
    """The names of fields in some objects."""
    return {name for row in rows if isinstance(row, Mapping) for name in row}
