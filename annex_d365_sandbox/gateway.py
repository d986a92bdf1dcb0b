"""Which room answers a request."""

from __future__ import annotations

from collections.abc import Callable

from annex_d365_sandbox.wire import Reply, Request


class Gateway:
    """Sends each request to the room that its path belongs to."""

    def __init__(
        self,
        *,
        dataverse: Callable[[Request], Reply],
        annexcloud: Callable[[Request], Reply],
        control: Callable[[Request], Reply],
        sign_in: Callable[[Request], Reply | None],
    ) -> None:
        self._rooms = {"/api/data/": dataverse, "/api/3.0/": annexcloud, "/_sandbox/": control}
        self._sign_in = sign_in

    def __call__(self, request: Request) -> Reply:
        """The room's reply; 404 where there is none."""
        for prefix, room in self._rooms.items():
            if request.path.startswith(prefix):
                return room(request)
        return self._sign_in(request) or Reply.json({"error": f"no such address: {request.path}"}, 404)
