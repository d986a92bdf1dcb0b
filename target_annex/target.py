"""The target: settings in, sinks and their service out, and a report at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import click
from singer_sdk import Sink

from annex_d365.annexcloud.client import AnnexCloud
from annex_d365.annexcloud.connect import connect as connect_site
from annex_d365.annexcloud.members import Members
from annex_d365.annexcloud.points import Points
from annex_d365.dataverse.client import Dataverse
from annex_d365.dataverse.connect import connect
from annex_d365.dataverse.organization import organization_url
from annex_d365.errors import ConnectorError
from annex_d365.fields import CONTACT
from annex_d365.http import origin
from annex_d365.ledger import Book, Ledger
from annex_d365.singer.checkpoints import Checkpoints
from annex_d365.singer.plugin import Plugin
from annex_d365.singer.rejects import Reject, RejectsFile
from annex_d365.singer.rows import Row, RowTarget, shown
from target_annex.departures import MEMBERS
from target_annex.dry_run import DryRun
from target_annex.presets import ANNEX_CLOUD, D365
from target_annex.report import Outcome, Report
from target_annex.segments.engine import Engine
from target_annex.segments.setup import engine_of
from target_annex.settings import CONFIG, CONFIG_D365, WITHOUT_MEANING, check, check_entries
from target_annex.sink_choice import sink_class

#: The stream whose rows become members.
CONTACTS = "contacts"
#: Of a stream, so many rejects are told one by one; the file tells all.
TOLD_REJECTS = 10
_SERVICES = {ANNEX_CLOUD: "Annex Cloud", D365: "Dynamics 365"}


class TargetAnnex(Plugin, Checkpoints, RowTarget):
    """Writes Singer streams into Annex Cloud, or into Dynamics 365."""

    name = "target-annex"
    config_jsonschema = deepcopy(CONFIG)  # the SDK adds its own settings in place

    def __init__(self, *, config: dict[str, Any] | None = None, **kwargs: Any) -> None:
        # An empty setting is one that was not made.
        config = {name: value for name, value in (config or {}).items() if value is not None}
        super().__init__(config=config, **kwargs)
        check(self.config)
        self.service  # noqa: B018 - what it needs is asked for at the start
        # One after the other, for the order of rows; a sink is parallel in itself.
        self.max_parallelism = 1
        self.rejects = RejectsFile(Path(self.config["rejects_path"]))
        self.emits_state = not self.config["dry_run"]
        if self.config["on_error"] == "reject" and not self.config["dry_run"]:
            self.rejects.check()
        self.run_id = uuid4().hex
        self._reports: dict[str, Report] = {}
        # Rows are rejected where they are read, and where they are written.
        self._rejecting = threading.Lock()
        if context := click.get_current_context(silent=True):
            # The report is wanted even more when the run failed.
            context.call_on_close(self.let_go)
            context.call_on_close(self.log_report)

    @classmethod
    def append_builtin_config(cls, config_jsonschema: dict[str, Any]) -> None:
        """As in the SDK, without what has no meaning here."""
        super().append_builtin_config(config_jsonschema)
        for name in WITHOUT_MEANING:
            config_jsonschema["properties"].pop(name, None)

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        check_entries(self.config)
        return super()._validate_config(raise_errors=raise_errors)

    @property
    def streams(self) -> Mapping[str, Mapping[str, Any]]:
        """The setting `streams`."""
        return self.config.get("streams") or {}

    @property
    def service(self) -> AnnexCloud | Dataverse:
        """The side that is written to."""
        return self.dataverse if self.config["destination"] == D365 else self.annex_cloud

    @cached_property
    def dataverse(self) -> Dataverse:
        """The organisation that is written to."""
        return connect(self.config)

    @cached_property
    def annex_cloud(self) -> AnnexCloud:
        """The site that is written to."""
        return connect_site(self.config)

    @cached_property
    def members(self) -> Members:
        """Its members."""
        return Members(self.annex_cloud, patch_replaces=self.config["patch_replaces"])

    @cached_property
    def points(self) -> Points:
        """Their points."""
        return Points(self.annex_cloud)

    @cached_property
    def ledger(self) -> Ledger:
        """What earlier runs wrote."""
        config = self.config
        site = origin(self.dataverse.root) if config["destination"] == D365 else self._annex_site
        return Ledger(config["ledger_url"], site=site, run=self.run_id, preview=config["dry_run"])

    @property
    def members_of_contacts(self) -> Book | None:
        """What `contacts-to-annex` has written with the same ledger, as far as the settings name the site."""
        known = self.config.get("site_id")
        return self.ledger.book("members", CONTACTS, site=self._annex_site) if known else None

    @property
    def contacts_of_members(self) -> Book | None:
        """What `loyalty-to-d365` has written with the same ledger, as far as the settings name the organisation."""
        url, organization, region = (self.config.get(name) for name in ("organization_url", "organization", "region"))
        if not (url or (organization and region)):
            return None
        return self.ledger.book(CONTACT, MEMBERS, site=origin(organization_url(url, organization, region)))

    @property
    def _annex_site(self) -> str:
        """What the ledger calls the site of Annex Cloud."""
        return f"{origin(self.config['base_url'])} {self.config['site_id']}"

    @cached_property
    def segments(self) -> Engine:
        """Their copies."""
        return engine_of(self)

    @cached_property
    def dry_run(self) -> DryRun | None:
        """Takes note of what would be written, if nothing is to be written."""
        path = self.config.get("dry_run_path")
        return DryRun(Path(path) if path else None) if self.config["dry_run"] else None

    @cached_property
    def executor(self) -> ThreadPoolExecutor:
        """Sends requests in parallel."""
        return ThreadPoolExecutor(self.config["max_parallel_requests"], "request")

    def get_sink_class(self, stream_name: str) -> type[Sink]:
        """By what the settings say that the stream becomes."""
        return sink_class(stream_name, self.config["destination"], self.streams)

    def report(self, stream: str) -> Report:
        """The counts for a stream."""
        return self._reports.setdefault(stream, Report(stream))

    def write_later(self, work: Callable[[], None], lane: str) -> None:
        """Write a batch while the next one is read."""
        self.behind.put(work, lane)

    def reject(self, stream: str, row: Row, reject: Reject) -> None:
        """Put a row aside, or end the run, as `on_error` says."""
        with self._rejecting:
            self._reject(stream, row, reject)

    def _reject(self, stream: str, row: Row, reject: Reject) -> None:
        counts = self.report(stream).counts
        counts[Outcome.REJECTED] += 1
        raw = self.mapper.stream_maps[row.message["stream"]][0]
        key = ", ".join(str(row.message["record"].get(name)) for name in raw.raw_key_properties or ())
        told = f"{stream}: row {shown(key)} is rejected: {reject.reason}"
        if self.config["on_error"] == "fail":
            raise ConnectorError(f"{told} (`on_error` is fail).")
        if not self.config["dry_run"]:
            self.rejects.add(
                row.message,
                reject,
                schema=raw.raw_schema,
                key_properties=raw.raw_key_properties,
                bookmark=self.bookmarks.get(row.message["stream"]),
            )
        if counts[Outcome.REJECTED] <= TOLD_REJECTS:
            self.logger.warning(told)

    def secure(self) -> None:
        """Rejected rows are on the disk before the STATE that covers them."""
        with self._rejecting:
            self.rejects.sync()

    def process_endofpipe(self) -> None:
        """As in the SDK; too many rejects make the run fail, once all that can be written is."""
        super().process_endofpipe()
        self.let_go()
        limit = self.config["max_reject_percent"]
        failed = [each.stream for each in self._reports.values() if each.too_many_rejects(limit)]
        if failed:
            raise ConnectorError(
                f"More than {limit} % of the rows were rejected (`max_reject_percent`): {', '.join(failed)}. "
                f"All others are written. See {self.rejects.path}."
            )
        if "segments" in vars(self):
            self.segments.check(self.rejects.path)

    def let_go(self) -> None:
        """Close files and connections. Not `close`, which a signal calls in the middle of a batch."""
        self.behind.close()
        self.rejects.close()
        for name in ("ledger", "dry_run"):
            if opened := vars(self).get(name):
                opened.close()

    def log_report(self) -> None:
        """One line per stream, and one for the service."""
        self.behind.finish()
        if self.config["dry_run"]:
            self.logger.info("Dry run: nothing was written. What would have become of the rows:")
        for each in self._reports.values():
            self.logger.info(each.sentence(self.rejects.path))
            if each.opt_ins_withheld:
                self.logger.info(
                    "%s: %d members stay opted out although the source says yes (see `reopt_in`).",
                    each.stream,
                    each.opt_ins_withheld,
                )
        http = self.service.http
        name = _SERVICES[self.config["destination"]]
        self.logger.info("%s: %d requests, %.1f s throttled", name, http.requests_sent, http.throttled_seconds)

    def _process_schema_message(self, message_dict: dict[str, Any]) -> None:
        """Rows that are being written are of the schema that was."""
        self.behind.settle()
        super()._process_schema_message(message_dict)

    def _process_record_message(self, message_dict: dict[str, Any]) -> None:
        self.rejects.refuse_own_output(message_dict)
        super()._process_record_message(message_dict)

    def _process_batch_message(self, message_dict: dict[str, Any]) -> None:
        """Files of a BATCH would pass by stream maps and validation (Singer page 2.5)."""
        raise ConnectorError(
            f"Stream {message_dict.get('stream')}: BATCH messages are not read; the tap must not have a `batch_config`."
        )


class TargetD365(TargetAnnex):
    """Writes Singer streams into Dynamics 365: the same target with its destination fixed."""

    name = "target-d365"
    config_jsonschema = deepcopy(CONFIG_D365)

    def __init__(self, *, config: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(config={**(config or {}), "destination": D365}, **kwargs)
