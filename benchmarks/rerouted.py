"""Runs somebody else's client, unmodified: ``python rerouted.py URL MODULE:FUNCTION ARGUMENT …``.

It runs in the interpreter of that client. Such clients have the address of Microsoft's sign-in in their code, or take
none but https; whatever they send by https is carried to the benchmark's server, in plain http as for all others.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests


class Rerouted(requests.adapters.HTTPAdapter):
    """Carries all requests to one address."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._to = urlsplit(url)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """As in requests."""
        meant = urlsplit(str(request.url))
        request.url = urlunsplit((self._to.scheme, self._to.netloc, meant.path, meant.query, ""))
        return super().send(request, *args, **kwargs)


def carry_https_to(url: str) -> None:
    """From now on, sessions carry what is meant for any https address to this one."""
    plain = requests.Session.__init__

    def mounted(session: requests.Session, *args: Any, **kwargs: Any) -> None:
        plain(session, *args, **kwargs)
        session.trust_env = False
        session.mount("https://", Rerouted(url))

    requests.Session.__init__ = mounted  # type: ignore[assignment, method-assign]


if __name__ == "__main__":
    carry_https_to(sys.argv.pop(1))
    module, _, function = sys.argv.pop(1).partition(":")
    getattr(importlib.import_module(module), function)()
