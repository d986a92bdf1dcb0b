"""tap-d365: tables of a Dynamics 365 organisation as Singer streams."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from functools import cached_property

from singer_sdk import Stream, Tap
from singer_sdk.contrib.msgspec import MsgSpecWriter

from annex_d365.dataverse.client import Dataverse
from annex_d365.dataverse.metadata import read_table
from annex_d365.dataverse.organization import organization_url
from annex_d365.dataverse.signin import Credentials, SignIn
from annex_d365.singer.plugin import Plugin
from tap_d365.settings import CONFIG
from tap_d365.streams import TableStream

TABLES = ("contacts",)


class TapD365(Plugin, Tap):
    """Singer tap for Microsoft Dynamics 365 (Dataverse)."""

    name = "tap-d365"
    config_jsonschema = deepcopy(CONFIG)  # the SDK adds its own settings in place
    # The catalog is what the organisation says, so --discover has to sign in.
    dynamic_catalog = True
    message_writer_class = MsgSpecWriter

    @cached_property
    def dataverse(self) -> Dataverse:
        """The organisation, for all streams."""
        url = organization_url(*(self.config.get(name) for name in ("organization_url", "organization", "region")))
        ca_bundle = self.config.get("ca_bundle")
        sign_in = SignIn(Credentials.from_settings(self.config, url), ca_bundle)
        return Dataverse(url, sign_in, api_version=self.config["api_version"], ca_bundle=ca_bundle)

    def discover_streams(self) -> Sequence[Stream]:
        """One stream per table."""
        return [TableStream(self, read_table(self.dataverse, name)) for name in TABLES]
