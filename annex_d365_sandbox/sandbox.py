"""Both services in one process: what tests and the demo start."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgspec

from annex_d365_sandbox import certificates
from annex_d365_sandbox.annexcloud import models as annexcloud_models
from annex_d365_sandbox.annexcloud import urls as annexcloud_urls
from annex_d365_sandbox.clock import Clock
from annex_d365_sandbox.control import urls as control_urls
from annex_d365_sandbox.control.faults import Faults
from annex_d365_sandbox.control.log import Log
from annex_d365_sandbox.control.models import Control
from annex_d365_sandbox.dataverse import urls as dataverse_urls
from annex_d365_sandbox.dataverse.models import Organisation
from annex_d365_sandbox.entra import urls as entra_urls
from annex_d365_sandbox.entra.models import (
    CLIENT_ID,
    CLIENT_SECRET,
    PASSWORD,
    REFRESH_TOKEN,
    TENANT_ID,
    USERNAME,
    Directory,
)
from annex_d365_sandbox.gateway import Gateway
from annex_d365_sandbox.seed import Seed
from annex_d365_sandbox.server import HOST, Listener, Server
from annex_d365_sandbox.store import Store

if TYPE_CHECKING:
    from typing_extensions import Self

SITE_ID = "90365"
SITE_NAME = "sandbox-retail"
SECRET_KEY = "sandbox-annex-secret-key-of-32-bytes-or-more"  # noqa: S105 - the sandbox's own, published
DATABASE, INFO = "sandbox.sqlite", "sandbox.json"


class Sandbox:
    """A Dynamics 365 organisation with its sign-in, an Annex Cloud site, and the control plane.

    Args:
        directory: where the database, the certificate and ``sandbox.json`` live; a database that is there is kept.
            ``None`` is a temporary directory that goes when the sandbox stops.
        port: of https; 0 picks one.
        http_port: of plain http; 0 picks one, ``None`` is no plain http.
        contacts: how many contacts a fresh database is seeded with; half of them are members.
        segments_api: ``outbound``, ``journeys`` or ``both``: which generation of segments a fresh organisation has.
        seed: the same seed gives the same rows.
        extra_tables: how many synthetic tables a fresh organisation has beside the declared ones.
    """

    def __init__(
        self,
        directory: Path | None = None,
        port: int = 0,
        *,
        http_port: int | None = None,
        contacts: int = 2000,
        segments_api: str = "outbound",
        seed: int = 7,
        extra_tables: int = 0,
    ) -> None:
        self._temporary = None if directory else tempfile.TemporaryDirectory(prefix="sandbox-")
        self.directory = Path(directory or self._temporary.name).resolve()  # type: ignore[union-attr]
        self.directory.mkdir(parents=True, exist_ok=True)
        self._ca_bundle = certificates.ensure(self.directory)
        self._store = Store(self.directory / DATABASE)
        self.clock = Clock()
        self.directory_service = Directory(self._store, self.clock)
        self.organisation = Organisation(self._store, self.clock)
        self.site = annexcloud_models.Site(
            self._store, self.clock, site_id=SITE_ID, site_name=SITE_NAME, secret_key=SECRET_KEY
        )
        self.control = Control(self._store, self.clock, self.organisation, self.site, self.directory_service)
        if self.control.seeded is None:
            self.control.seed(Seed(contacts, seed, extra_tables, segments_api))
        listeners = {"https": Listener(port, certificates.server_context(self.directory))}
        if http_port is not None:
            listeners["http"] = Listener(http_port)
        gateway = Gateway(
            dataverse=dataverse_urls.application(self.organisation, self.directory_service),
            annexcloud=annexcloud_urls.application(self.site),
            control=control_urls.application(self.control),
            sign_in=entra_urls.application(self.directory_service, self.clock),
        )
        self._server = Server(gateway, self.control, listeners)
        self.info: dict[str, Any] = {}

    @property
    def faults(self) -> Faults:
        """The faults in force."""
        return self.control.faults

    @property
    def log(self) -> Log:
        """The requests seen."""
        return self.control.log

    @property
    def url(self) -> str:
        """The https address."""
        return str(self.info["url"])

    def start(self) -> Self:
        """Listen, and write ``sandbox.json``. Raises ``OSError`` if a port is taken."""
        try:
            self._server.start()
        except OSError:
            self._close()
            raise
        urls = {scheme: f"{scheme}://{HOST}:{port}" for scheme, port in self._server.ports.items()}
        own = {url.replace(HOST, name) for url in urls.values() for name in (HOST, "localhost")}
        self.organisation.origins |= own
        self.directory_service.origins |= own
        self.info = _info(urls, str(self._ca_bundle))
        target = self.directory / INFO
        target.unlink(missing_ok=True)
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.encode(self.info) + b"\n")
        return self

    def stop(self) -> None:
        """Close the ports and the database."""
        self._server.stop()
        self._close()

    def _close(self) -> None:
        self._store.close()
        if self._temporary:
            self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _info(urls: dict[str, str], ca_bundle: str) -> dict[str, Any]:
    url = urls["https"]
    return {
        "url": url,
        "http_url": urls.get("http"),
        "ca_bundle": ca_bundle,
        "auth_endpoint_url": f"{url}/adfs/oauth2/token",
        "credentials": {
            "tenant_id": TENANT_ID,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "username": USERNAME,
            "password": PASSWORD,
            "refresh_token": REFRESH_TOKEN,
        },
        "annex": {
            "base_url": f"{url}/api/3.0",
            "site_id": SITE_ID,
            "site_name": SITE_NAME,
            "secret_key": SECRET_KEY,
        },
    }
