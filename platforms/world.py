"""A sandbox as a process, settings for each plugin, and both sides as they are: read by HTTP, not by our client."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import jwt
import requests

from platforms.environments import ours
from platforms.result import Failure

if TYPE_CHECKING:
    from typing_extensions import Self

Row = dict[str, Any]
CONTACTS = 120
_SECONDS = 60
_TOKEN_SECONDS = 180


class World:
    """Both services, seeded anew for each row; a context manager.

    Attributes:
        directory: a temporary one, for what the row makes.
        info: what the sandbox printed: addresses and credentials (docs/sandbox.md).
    """

    def __init__(self, contacts: int = CONTACTS) -> None:
        self._contacts = contacts
        self._temporary = tempfile.TemporaryDirectory(prefix="annex-d365-platforms-")
        self.directory = Path(self._temporary.name)
        self.info: dict[str, Any] = {}
        self._http = requests.Session()
        self._http.trust_env = False

    def __enter__(self) -> Self:
        """Start it, and sign in."""
        words = ["--port", "0", "--contacts", str(self._contacts), "--segments-api", "journeys"]
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "annex_d365_sandbox", *words, "--dir", str(self.directory / "sandbox")],
            stdout=subprocess.PIPE,
            text=True,
        )
        line = cast("Any", self._process.stdout).readline()
        if not line:
            raise Failure("the sandbox did not start")
        self.info = json.loads(line)
        self._http.verify = self.info["ca_bundle"]
        known = self.info["credentials"]
        form = {"grant_type": "client_credentials", "resource": self.info["url"]}
        form |= {name: known[name] for name in ("client_id", "client_secret")}
        token = self._http.post(self.info["auth_endpoint_url"], data=form, timeout=_SECONDS).json()["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, and forget everything."""
        self._process.terminate()
        self._process.wait(_SECONDS)
        cast("Any", self._process.stdout).close()
        self._http.close()
        self._temporary.cleanup()

    def environment(self) -> dict[str, str]:
        """Variables of this process without settings of our plugins, which would win over a row's own."""
        return {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TAP_", "TARGET_", "MELTANO_", "PYTHONPATH"))
        }

    # Settings.

    def tap_d365(self, **more: Any) -> Row:
        """Settings of tap-d365."""
        known = self.info["credentials"]
        return {
            "organization_url": self.info["url"],
            "auth_endpoint_url": self.info["auth_endpoint_url"],
            "client_id": known["client_id"],
            "client_secret": known["client_secret"],
            "ca_bundle": self.info["ca_bundle"],
            **more,
        }

    def tap_annex(self, **more: Any) -> Row:
        """Settings of tap-annex."""
        return {**self.info["annex"], "ca_bundle": self.info["ca_bundle"], "members": {"by": "search"}, **more}

    def target_annex(self, **more: Any) -> Row:
        """Settings of target-annex, with ledger and rejects in ``directory``."""
        return {
            "destination": "annex_cloud",
            **self.info["annex"],
            "ca_bundle": self.info["ca_bundle"],
            **self._memory("annex"),
            **more,
        }

    def target_d365(self, **more: Any) -> Row:
        """Settings of target-d365, with ledger and rejects in ``directory``."""
        return {**self.tap_d365(), **self._memory("d365"), **more}

    def file(self, name: str, content: Any) -> Path:
        """Write JSON into a file of ``directory``, and return its path."""
        path = self.directory / name
        path.write_text(json.dumps(content))
        path.chmod(0o600)
        return path

    def selected(self, tap: str, config: Path, *, streams: tuple[str, ...]) -> Path:
        """The catalog that one of our taps finds, with these streams selected, and their usual columns.

        Args:
            tap: ``tap-d365`` or ``tap-annex``.
            config: file of its settings.
            streams: names; the others are deselected.
        """
        done = subprocess.run(  # noqa: S603 - our own program
            [ours(tap), "--config", str(config), "--discover"],
            capture_output=True,
            text=True,
            check=False,
            env=self.environment(),
        )
        if done.returncode:
            raise Failure(f"{tap} --discover: {done.stderr.strip()[-400:]}")
        catalog = json.loads(done.stdout)
        for entry in catalog["streams"]:
            for each in entry["metadata"]:
                if not each["breadcrumb"]:
                    each["metadata"]["selected"] = entry["tap_stream_id"] in streams
        return self.file(f"{config.stem}-catalog.json", catalog)

    # Dynamics 365, as it is.

    def dataverse(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """A request below ``/api/data/v9.2/``; its JSON, if it has any. Raises ``Failure`` for 4xx and 5xx."""
        url = path if path.startswith("http") else f"{self.info['url']}/api/data/v9.2/{path}"
        return _answer(self._http.request(method, url, json=body, headers=headers, timeout=_SECONDS))

    def rows(self, entity_set: str, key: str, *columns: str, where: str | None = None) -> dict[str, Row]:
        """All rows of a table, by key, without annotations; all columns unless some are named."""
        path = f"{entity_set}?$orderby={key}"
        path += f"&$select={','.join((key, *columns))}" if columns else ""
        path += f"&$filter={quote(where)}" if where else ""
        found: dict[str, Row] = {}
        while path:
            page = self.dataverse("GET", path)
            for row in page["value"]:
                found[row[key]] = {name: value for name, value in row.items() if "@" not in name}
            path = page.get("@odata.nextLink", "")
        return found

    def add_column(self, table: str, schema_name: str) -> str:
        """Add a column of text to a table by the metadata API, as an administrator would; return its logical name."""
        label = {"LocalizedLabels": [{"Label": schema_name, "LanguageCode": 1033}]}
        body = {
            "@odata.type": "Microsoft.Dynamics.CRM.StringAttributeMetadata",
            "SchemaName": schema_name,
            "DisplayName": label,
            "RequiredLevel": {"Value": "None"},
            "MaxLength": 100,
        }
        path = f"EntityDefinitions(LogicalName='{table}')/Attributes"
        self.dataverse("POST", path, body, **{"MSCRM.SolutionUniqueName": "LoyaltySandbox"})
        return schema_name.lower()

    # Annex Cloud, as it is.

    def annex(self, method: str, path: str, body: Any = None, signs: str = "") -> Any:
        """A signed request below ``/api/3.0/``; its JSON. ``signs``: the identifier that a GET signs (Annex page 2.3).

        Raises:
            Failure: 4xx and 5xx.
        """
        site = self.info["annex"]
        sent = json.dumps(signs if method == "GET" else body).encode()
        key = site["secret_key"].encode()
        mac = base64.b64encode(hmac.digest(key, base64.b64encode(sent), hashlib.sha256)).decode()
        claims = {"sub": site["site_name"], "exp": int(time.time()) + _TOKEN_SECONDS, "site_id": site["site_id"]}
        token = jwt.encode({**claims, "hmac": mac}, key, "HS256")
        headers = {
            "Authorization": f"Bearer {token}",
            "X-AnnexCloud-Site": site["site_id"],
            "Content-Type": "application/json",
        }
        data = None if method == "GET" else sent
        url = f"{site['base_url'].rstrip('/')}/{path}"
        return _answer(self._http.request(method, url, data=data, headers=headers, timeout=_SECONDS))

    def member(self, member_id: str) -> Row:
        """A member as Annex Cloud shows it."""
        return cast("Row", self.annex("GET", f"users/{quote(member_id, safe='')}", signs=member_id))

    # What is in the file of the sandbox only.

    def control(self, name: str, body: Any) -> Any:
        """POST to the sandbox's own ``/_sandbox/<name>`` (docs/sandbox.md): ``seed``, ``clock``, ``switches``, ..."""
        return _answer(self._http.post(f"{self.info['url']}/_sandbox/{name}", json=body, timeout=_SECONDS))

    def control_delete(self, name: str) -> None:
        """DELETE ``/_sandbox/<name>``: ``faults``, ``log``."""
        _answer(self._http.delete(f"{self.info['url']}/_sandbox/{name}", timeout=_SECONDS))

    def _memory(self, name: str) -> Row:
        return {
            "ledger_url": f"sqlite:///{self.directory}/ledger.db",
            "rejects_path": str(self.directory / f"rejects-{name}.singer"),
        }


def _answer(response: requests.Response) -> Any:
    if not response.ok:
        raise Failure(f"{response.request.method} {response.url}: {response.status_code} {response.text[:300]}")
    return json.loads(response.content, parse_float=Decimal) if response.content else None
