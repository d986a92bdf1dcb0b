"""tap-d365: tables of a Dynamics 365 organisation as Singer streams."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from functools import cached_property
from typing import Any

from singer_sdk import Stream, Tap
from singer_sdk.singerlib import CatalogEntry, MetadataMapping

from annex_d365.dataverse.client import Dataverse
from annex_d365.dataverse.connect import connect
from annex_d365.errors import SettingError
from annex_d365.singer.plugin import Plugin
from annex_d365.singer.writer import Writer
from tap_d365.segment_choice import SEGMENT_STREAMS, segment_streams
from tap_d365.settings import CONFIG
from tap_d365.streams import TableStream, in_form
from tap_d365.tables import read_configured, table_settings


class TapD365(Plugin, Tap):
    """Singer tap for Microsoft Dynamics 365 (Dataverse)."""

    name = "tap-d365"
    config_jsonschema = deepcopy(CONFIG)  # the SDK adds its own settings in place
    # The catalog is what the organisation says, so --discover has to sign in.
    dynamic_catalog = True
    message_writer_class = Writer

    @cached_property
    def dataverse(self) -> Dataverse:
        """The organisation, for all streams."""
        return connect(self.config)

    def close(self) -> None:
        """No request waits any more."""
        if "dataverse" in vars(self):  # a cached property
            self.dataverse.http.close()

    @property
    def streams(self) -> dict[str, Stream]:
        """As in the SDK, which sorts them by name; segments come before their members."""
        order = {name: place for place, name in enumerate(SEGMENT_STREAMS, 1)}
        return dict(sorted(super().streams.items(), key=lambda item: order.get(item[0], 0)))

    def load_state(self, state: dict[str, Any]) -> None:
        """As in the SDK; a damaged state is told in a sentence."""
        bookmarks = state.get("bookmarks", {})
        if not isinstance(bookmarks, dict) or not all(isinstance(each, dict) for each in bookmarks.values()):
            raise SettingError("state", "its `bookmarks` are no object with an object for each stream.")
        super().load_state(state)

    def discover_streams(self) -> Sequence[Stream]:
        """One stream per table that the settings name and the catalog, if there is one, selects; those of segments."""
        self._check_times()
        catalog = self.input_catalog
        selected = None if catalog is None else {name: _is_selected(entry) for name, entry in catalog.items()}
        tables = read_configured(
            self.dataverse,
            table_settings(self.config),
            catalog=selected,
            labels=self.config["include_labels"],
            parallel=self.config["max_parallel_requests"],
        )
        streams: list[Stream] = [TableStream(self, table, entry) for table, entry in tables]
        streams += segment_streams(self, selected)
        missing = {name for name, wanted in (selected or {}).items() if wanted} - {stream.name for stream in streams}
        if missing:
            self.logger.warning(
                "Selected in the catalog, but not named in the setting `tables`: %s.", ", ".join(sorted(missing))
            )
        return streams

    def _check_times(self) -> None:
        shard = self.config.get("shard") or {}
        times = {
            "start_date": self.config.get("start_date"),
            "shard.from": shard.get("from"),
            "shard.to": shard.get("to"),
        }
        moments = {name: _moment(name, value) for name, value in times.items() if value}
        if "shard.to" in moments and moments.get("shard.from", "") >= moments["shard.to"]:
            raise SettingError("shard", "`to` is not after `from`: there is no row between them.")


def _moment(name: str, value: str) -> str:
    try:
        return in_form(value)
    except ValueError:
        raise SettingError(name, "is not a time such as 2026-01-31T00:00:00Z.") from None


def _is_selected(entry: CatalogEntry) -> bool:
    """As :attr:`singer_sdk.Stream.selected`, for a stream that does not exist yet."""
    root = MetadataMapping({(): entry.metadata[()]} if () in entry.metadata else {})
    return root.resolve_selection().get((), True)
