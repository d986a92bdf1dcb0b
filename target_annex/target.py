"""The target: settings in, sinks and their service out, and a report at the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import Any

import click
from singer_sdk import Sink

from annex_d365.annexcloud.client import AnnexCloud
from annex_d365.annexcloud.members import Members
from annex_d365.annexcloud.token import Credentials
from annex_d365.errors import ConnectorError
from annex_d365.singer.checkpoints import Checkpoints
from annex_d365.singer.plugin import Plugin
from annex_d365.singer.rejects import Reject, RejectsFile
from annex_d365.singer.rows import Row, RowTarget, shown
from target_annex.mapping import object_of
from target_annex.members import Links
from target_annex.presets import D365
from target_annex.report import Outcome, Report
from target_annex.settings import CONFIG, CONFIG_D365, WITHOUT_MEANING, check, check_entries
from target_annex.sinks import SINKS

#: Of a stream, so many rejects are told one by one; the file tells all.
TOLD_REJECTS = 10


class TargetAnnex(Plugin, Checkpoints, RowTarget):
    """Writes Singer streams into Annex Cloud."""

    name = "target-annex"
    config_jsonschema = deepcopy(CONFIG)  # the SDK adds its own settings in place

    def __init__(self, *, config: dict[str, Any] | None = None, **kwargs: Any) -> None:
        # An empty setting is one that was not made.
        config = {name: value for name, value in (config or {}).items() if value is not None}
        super().__init__(config=config, **kwargs)
        check(self.config)
        # One after the other, for the order of rows; a sink is parallel in itself.
        self.max_parallelism = 1
        self.links: dict[str, Links] = defaultdict(Links)
        self.rejects = RejectsFile(Path(self.config["rejects_path"]))
        if self.config["on_error"] == "reject":
            self.rejects.check()
        self._reports: dict[str, Report] = {}
        if context := click.get_current_context(silent=True):
            # The report is wanted even more when the run failed.
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

    @cached_property
    def service(self) -> AnnexCloud:
        """The site that is written to."""
        config = self.config
        credentials = Credentials(config["site_id"], config["site_name"], config["secret_key"])
        return AnnexCloud(
            config["base_url"],
            credentials,
            ca_bundle=config.get("ca_bundle"),
            parallel=config["max_parallel_requests"],
        )

    @cached_property
    def members(self) -> Members:
        """Its members."""
        return Members(self.service)

    @cached_property
    def executor(self) -> ThreadPoolExecutor:
        """Sends requests in parallel."""
        return ThreadPoolExecutor(self.config["max_parallel_requests"], "request")

    def get_sink_class(self, stream_name: str) -> type[Sink]:
        """By what the settings say that the stream becomes."""
        return SINKS[object_of(stream_name, self.config["destination"], self.streams)]

    def report(self, stream: str) -> Report:
        """The counts for a stream."""
        return self._reports.setdefault(stream, Report(stream))

    def reject(self, stream: str, row: Row, reject: Reject) -> None:
        """Put a row aside, or end the run, as `on_error` says."""
        counts = self.report(stream).counts
        counts[Outcome.REJECTED] += 1
        raw = self.mapper.stream_maps[row.message["stream"]][0]
        key = ", ".join(str(row.message["record"].get(name)) for name in raw.raw_key_properties or ())
        told = f"{stream}: row {shown(key)} is rejected: {reject.reason}"
        if self.config["on_error"] == "fail":
            raise ConnectorError(f"{told} (`on_error` is fail).")
        self.rejects.add(row.message, reject, schema=raw.raw_schema, key_properties=raw.raw_key_properties)
        if counts[Outcome.REJECTED] <= TOLD_REJECTS:
            self.logger.warning(told)

    def skip_deletion(self, stream: str) -> None:
        """Count a deletion, and say once that nothing is done about it."""
        counts = self.report(stream).counts
        if not counts[Outcome.DELETED]:
            self.logger.warning("%s: rows that were deleted at the source are skipped; members stay.", stream)
        counts[Outcome.DELETED] += 1

    def secure(self) -> None:
        """Rejected rows are on the disk before the STATE that covers them."""
        self.rejects.sync()

    def process_endofpipe(self) -> None:
        """As in the SDK; too many rejects make the run fail, once all that can be written is."""
        super().process_endofpipe()
        self.rejects.close()
        limit = self.config["max_reject_percent"]
        failed = [each.stream for each in self._reports.values() if each.too_many_rejects(limit)]
        if failed:
            raise ConnectorError(
                f"More than {limit} % of the rows were rejected (`max_reject_percent`): {', '.join(failed)}. "
                f"All others are written. See {self.rejects.path}."
            )

    def log_report(self) -> None:
        """One line per stream, and one for the service."""
        for each in self._reports.values():
            self.logger.info(each.sentence(self.rejects.path))
            if each.opt_ins_withheld:
                self.logger.info(
                    "%s: %d members stay opted out although the source says yes (see `reopt_in`).",
                    each.stream,
                    each.opt_ins_withheld,
                )
        http = self.service.http
        self.logger.info("Annex Cloud: %d requests, %.1f s throttled", http.requests_sent, http.throttled_seconds)

    def _process_record_message(self, message_dict: dict[str, Any]) -> None:
        self.rejects.refuse_own_output(message_dict)
        super()._process_record_message(message_dict)

    def _process_batch_message(self, message_dict: dict[str, Any]) -> None:
        """Files of a BATCH would pass by stream maps and validation (Singer page 2.5)."""
        raise ConnectorError(
            f"Stream {message_dict.get('stream')}: BATCH messages are not read; the tap must not have a `batch_config`."
        )


class TargetD365(TargetAnnex):
    """Reserved for writing Singer streams into Dynamics 365, which this version cannot do."""

    name = "target-d365"
    config_jsonschema = deepcopy(CONFIG_D365)

    def __init__(self, *, config: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(config={**(config or {}), "destination": D365}, **kwargs)
