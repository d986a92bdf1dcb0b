"""A target as most published ones are: the SDK's ``RecordSink``, one PATCH for each row, nothing else changed."""

from __future__ import annotations

from typing import Any

import requests
from floor_target import MEMBER, READ_ONLY
from singer_sdk import RecordSink, Target
from singer_sdk import typing as th


class PatchSink(RecordSink):
    """One request for each row."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._session = requests.Session()

    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:  # noqa: ARG002 - as in the SDK
        """Write the row."""
        if self.config["destination"] == "annex_cloud":
            url = f"{self.config['base_url']}/users/{record['cr0dd_loyaltyid']}"
            body = {field: record[name] for field, name in MEMBER.items() if record[name]}
        else:
            url = f"{self.config['organization_url']}/api/data/v9.2/contacts({record['contactid']})"
            body = {name: value for name, value in record.items() if name not in READ_ONLY}
        text = {name: str(value) if hasattr(value, "isoformat") else value for name, value in body.items()}
        headers = {"Authorization": "Bearer -"}
        self._session.patch(url, json=text, headers=headers, timeout=120).raise_for_status()


class SdkTarget(Target):
    """The target."""

    name = "target-sdk"
    default_sink_class = PatchSink
    config_jsonschema = th.PropertiesList(
        th.Property("destination", th.StringType, required=True),
        th.Property("base_url", th.StringType),
        th.Property("organization_url", th.StringType),
    ).to_dict()


if __name__ == "__main__":
    SdkTarget.cli()
