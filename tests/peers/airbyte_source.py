"""Run Airbyte's connector for Dataverse, unmodified: ``python airbyte_source.py INFO read --config ...``.

It runs in an interpreter of its own, as its dependencies do not go with Meltano's SDK. Its sign-in address is fixed in
its code; what it sends there is carried to the sandbox of the file INFO (``sandbox.json``) instead.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from source_microsoft_dataverse.run import run

SIGN_IN = "https://login.microsoftonline.com"


class Rerouted(requests.adapters.HTTPAdapter):
    """Carries requests for Microsoft's sign-in to the sandbox's plain http port."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        here, there = urlsplit(request.url), urlsplit(info["http_url"])
        request.url = urlunsplit((there.scheme, there.netloc, here.path, here.query, ""))
        request.headers["Host"] = here.netloc
        return super().send(request, *args, **kwargs)


def trusting(session: requests.Session, *args: Any, **kwargs: Any) -> None:
    """A session's constructor, with the sandbox's certificate and the adapter."""
    plain(session, *args, **kwargs)
    session.verify, session.trust_env = info["ca_bundle"], False
    session.mount(SIGN_IN, Rerouted())


info = json.loads(Path(sys.argv.pop(1)).read_text())
plain = requests.Session.__init__
requests.Session.__init__ = trusting
run()
