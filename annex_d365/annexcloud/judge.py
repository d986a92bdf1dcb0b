"""What a failure is about: the row, the route, the settings or the service. Another, harmless request tells."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import requests

from annex_d365.annexcloud.errors import RefusedError, failing_row
from annex_d365.errors import OutageError, RowError, ServiceError, SettingError
from annex_d365.retry import IN_DOUBT

#: The service failed at this very request. It is not out of order (503) or slow (504).
_FAILED = requests.codes.internal_server_error
#: Tries of a write of one row, before another request shows whether it is the row.
_TRIES = {_FAILED: 3}
_LAST_TRY = {_FAILED: 1}
_ONE_TRY = dict.fromkeys({0, *IN_DOUBT}, 1)
#: Seconds before the other request is sent again, where earlier ones were accepted: rather is what checks keys out of
#: order for a moment than that it has become wrong.
PAUSES = (1, 4, 10)
#: So many bad rows, and none written in between, are no bad rows.
MAX_BAD_ROWS = 20


class Judge:
    """Judges failures of requests to one site. Safe for threads.

    Args:
        ask: sends another, harmless request; takes ``most_tries`` of :meth:`annex_d365.http.Client.send`.
        pause: waits for so many seconds.
    """

    def __init__(self, ask: Callable[..., Any], pause: Callable[[float], object]) -> None:
        self._ask, self._pause = ask, pause
        #: Whether the service has accepted a request, so that the settings were right then.
        self.trusted = False
        self._lock = threading.Lock()
        self._bad_rows = 0
        self._routes: set[str] = set()

    def insist(self, send: Callable[[], Any]) -> Any:
        """Send a request; once more, if its signature is not accepted and those of others are.

        Raises:
            RefusedError: it is refused as if a setting were wrong, and others are not.
            SettingError: others are, too.
            ServiceError: it cannot be asked for others.
        """
        try:
            return send()
        except RefusedError as refused:
            self.check_others(refused)
            if refused.no_route:
                raise
        return send()

    def check_others(self, refused: RefusedError) -> None:
        """Whether the service accepts the other request, in the end.

        Raises:
            SettingError: it does not.
            ServiceError: it cannot be asked.
        """
        trusted = self.trusted
        for seconds in (0, *(PAUSES if trusted else ())):
            if seconds:
                self._pause(seconds)
            if accepted(self._ask):
                return
        raise refused.of_setting(meanwhile=trusted) from None

    def with_id(self, send: Callable[[], Any]) -> Any:
        """Send a request with an id in its address. Is it refused as if a setting were wrong, is it one?

        Raises:
            RowError: others are accepted, so that it is this id that the service, or a gateway, takes amiss.
        """
        try:
            return self.insist(send)
        except RefusedError:
            problem = "Annex Cloud refuses this id, and no other: a sign in it has a meaning in an address."
            raise RowError(problem) from None

    def without_id(self, route: str, send: Callable[[], Any]) -> Any:
        """The same for a request that has its id in the body.

        Raises:
            ServiceError: the site has no such route.
            RowError: it has, so that it is this body that the service, or a gateway, takes amiss.
        """
        try:
            answer = self.insist(send)
        except RefusedError as refused:
            if (refused.no_route and route not in self._routes) or not self._credible():
                raise refused.of_route() from None
            raise refused.of_row() from None
        except RowError:
            self._routes.add(route)
            raise
        self._routes.add(route)
        return answer

    def of_row(self, route: str, send: Callable[..., Any]) -> Any:
        """Write one row. If the service fails at it, is it the row?

        Another request has to be answered at once, both before and after a last try of the row.

        Args:
            route: for messages.
            send: writes it; takes ``most_tries``.

        Raises:
            RowError: the service fails at this row, and at no other.
            OutageError: it could not be reached, or kept failing.
        """
        for tries in (_TRIES, _LAST_TRY):
            try:
                return self._written(send(most_tries=tries))
            except OutageError as failure:
                if failure.status != _FAILED:
                    raise
            if not self._answers_others():
                break
        else:
            if self._credible():
                raise failing_row(route, _FAILED)
        return self._written(send())

    def row_written(self) -> None:
        """Take note that the service writes rows."""
        with self._lock:
            self._bad_rows = 0

    def _written(self, answer: Any) -> Any:
        self.row_written()
        return answer

    def _credible(self) -> bool:
        """Whether one more bad row is to be believed."""
        with self._lock:
            self._bad_rows += 1
            return self._bad_rows <= MAX_BAD_ROWS

    def _answers_others(self) -> bool:
        try:
            return accepted(lambda: self._ask(most_tries=_ONE_TRY))
        except ServiceError:
            return False


def accepted(ask: Callable[[], Any]) -> bool:
    """Whether a request is accepted: what it asks for need not exist.

    Raises:
        ServiceError: what is neither about the request nor about a setting.
    """
    try:
        ask()
    except SettingError:
        return False
    except ServiceError as refused:
        if not isinstance(refused, RowError):
            raise
    return True
