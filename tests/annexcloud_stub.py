"""A Loyalty API of a few lines: an adapter of requests."""

from __future__ import annotations

import json

import requests
from requests.adapters import BaseAdapter

from annex_d365.annexcloud.client import AnnexCloud
from annex_d365.annexcloud.token import Credentials

SECRET = "secret-marker-0123456789-0123456789"


class Service(BaseAdapter):
    """Answers with the replies that it is given, the last one for ever.

    A reply is a status and a body, perhaps with headers; or an error to raise; or a function of the request that gives
    one of these.
    """

    def __init__(self):
        super().__init__()
        self.replies = [(200, {})]
        self.requests = []

    def send(self, request, **kwargs):
        self.requests.append(request)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if callable(reply):
            reply = reply(request)
        if isinstance(reply, Exception):
            raise reply
        status, body, *headers = reply
        response = requests.Response()
        response.status_code = status
        response.headers.update(headers[0] if headers else {})
        response._content = body if isinstance(body, bytes) else json.dumps(body).encode()
        response.request = request
        response.url = request.url
        return response

    def close(self):
        pass

    def client(self) -> AnnexCloud:
        """A client of this service, in this thread."""
        annex = AnnexCloud("https://annex.example/api/3.0/", Credentials("4711", "shop", SECRET))
        annex.http.session.mount("https://", self)
        return annex

    @property
    def bodies(self):
        return [json.loads(request.body) for request in self.requests if request.body]

    @property
    def calls(self):
        """Methods and paths, "POST /users"."""
        return [f"{each.method} {each.url.removeprefix('https://annex.example/api/3.0')}" for each in self.requests]
