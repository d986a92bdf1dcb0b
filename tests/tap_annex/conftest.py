"""A loyalty programme in the sandbox, and ways to run tap-annex against it."""

from __future__ import annotations

import io
from collections import Counter
from contextlib import redirect_stdout

import pytest
import requests
from support import Messages, shared_sandbox

from tap_annex.tap import TapAnnex


class Programme:
    """The sandbox's loyalty programme, and the tap."""

    def __init__(self, sandbox):
        self.sandbox = sandbox
        self.info = sandbox.info
        sandbox.control.reset()

    def config(self, **more):
        return {**self.info["annex"], "ca_bundle": self.info["ca_bundle"], **more}

    def control(self, room, **body):
        url = f"{self.info['http_url']}/_sandbox/{room}"
        requests.post(url, json=body, timeout=10).raise_for_status()

    def switch(self, **switches):
        self.control("switches", annex=switches)

    def put(self, *members):
        self.sandbox.site.put_members([{"optInStatus": "YES", "status": "ACTIVE", **each} for each in members])

    def ids(self):
        return {each["id"] for each in self.sandbox.site.members()}

    def catalog(self, **columns):
        """A catalog with these streams, and of each these columns, or all."""
        catalog = TapAnnex(config=self.config()).catalog_dict
        for entry in catalog["streams"]:
            wanted = columns.get(entry["tap_stream_id"])
            for each in entry["metadata"]:
                if not each["breadcrumb"]:
                    each["metadata"]["selected"] = wanted is not None
                elif each["metadata"].get("inclusion") != "automatic":
                    each["metadata"]["selected"] = wanted == "all" or each["breadcrumb"][-1] in (wanted or ())
        return catalog

    def run(self, catalog=None, state=None, error=None, **settings):
        """The messages of a run, which may have to end with an error."""
        out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
        with redirect_stdout(out):
            tap = TapAnnex(config=self.config(**settings), catalog=catalog, state=state)
            if error:
                with pytest.raises(error):
                    tap.sync_all()
            else:
                tap.sync_all()
        return Messages.read(out.buffer.getvalue().decode())

    def forget_log(self):
        requests.delete(f"{self.info['http_url']}/_sandbox/log", timeout=10).raise_for_status()

    def calls(self):
        """Calls of the Loyalty API since the log was forgotten: route -> how many."""
        calls: Counter[str] = Counter()
        for entry in self.sandbox.control.log.entries():
            if entry["path"].startswith("/api/3.0/"):
                parts = entry["path"].removeprefix("/api/3.0/").split("/")
                end = f"/{parts[2]}" if len(parts) > 2 else ""
                calls[f"{entry['method']} {parts[0]}{end}" if parts[-1] != "search" else "search"] += 1
        return calls


@pytest.fixture
def programme():
    return Programme(shared_sandbox())
