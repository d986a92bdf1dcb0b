"""How people at both services work: requests of their own, which share no code with the connector."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from urllib.parse import quote

import requests

#: The connector asks for v9.2, so that faults of its own paths leave people alone in Dynamics 365.
VERSION = "v9.1"
TRIES = 4


class RefusedError(Exception):
    """A service did not do what was asked, or nobody knows."""

    def __init__(self, status):
        super().__init__(f"status {status}")
        self.status = status


class Crm:
    """Somebody at Dynamics 365."""

    def __init__(self, services):
        self._services, self._session, self._token = services, requests.Session(), ""
        self._session.trust_env = False

    def send(self, method, path, body=None):
        """A request to the Web API. Raises :class:`RefusedError`."""
        for _ in range(TRIES):
            info = self._services.info
            try:
                answer = self._session.request(
                    method,
                    f"{info['url']}/api/data/{VERSION}/{path}",
                    json=body,
                    headers={"Authorization": f"Bearer {self._token}"},
                    verify=info["ca_bundle"],
                    timeout=30,
                )
            except requests.RequestException:
                time.sleep(0.5)
                continue
            if answer.status_code != requests.codes.unauthorized:
                if not answer.ok:
                    raise RefusedError(answer.status_code)
                return answer
            self._sign_in()
        raise RefusedError(0)

    def _sign_in(self):
        info = self._services.info
        credentials = info["credentials"]
        form = {
            "grant_type": "client_credentials",
            "scope": f"{info['url']}/.default",
            **{name: credentials[name] for name in ("client_id", "client_secret")},
        }
        url = f"{info['url']}/{credentials['tenant_id']}/oauth2/v2.0/token"
        try:
            answer = self._session.post(url, data=form, verify=info["ca_bundle"], timeout=30)
            self._token = answer.json().get("access_token", "")
        except (requests.RequestException, ValueError):
            time.sleep(0.5)


class Clerk:
    """Somebody at Annex Cloud."""

    def __init__(self, services):
        self._services, self._session = services, requests.Session()
        self._session.trust_env = False

    def send(self, method, path, body, tries=TRIES):
        """A request to the Loyalty API, sent again if it may be. Raises :class:`RefusedError`."""
        status = 0
        for _ in range(tries):
            annex = self._services.info["annex"]
            data = json.dumps(body).encode()
            headers = {
                "Authorization": f"Bearer {_token(annex, data)}",
                "X-AnnexCloud-Site": annex["site_id"],
                "Content-Type": "application/json",
            }
            try:
                answer = self._session.request(
                    method,
                    f"{annex['base_url']}/{path}",
                    data=data,
                    headers=headers,
                    verify=self._services.info["ca_bundle"],
                    timeout=30,
                )
                status = answer.status_code
                if answer.ok:
                    return answer.json()
            except (requests.RequestException, ValueError):
                status = 0
            if 400 <= status < 429:
                break
            time.sleep(0.3)
        raise RefusedError(status)

    def change(self, member_id, **fields):
        """``PATCH /users/{id}``."""
        return self.send("PATCH", f"users/{quote(member_id, safe='')}", fields)


def _token(annex, payload):
    secret = annex["secret_key"].encode()
    signed = base64.b64encode(hmac.digest(secret, base64.b64encode(payload), hashlib.sha256)).decode()
    claims = {"sub": annex["site_name"], "exp": int(time.time()) + 120, "site_id": annex["site_id"], "hmac": signed}
    parts = [_part({"alg": "HS256", "typ": "JWT"}), _part(claims)]
    return b".".join([*parts, _text(hmac.digest(secret, b".".join(parts), hashlib.sha256))]).decode()


def _part(value):
    return _text(json.dumps(value).encode())


def _text(value):
    return base64.urlsafe_b64encode(value).rstrip(b"=")
