"""The commands of an Airbyte source, run by a tap."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import traceback
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from singer_sdk import Tap
from singer_sdk.exceptions import ConfigValidationError

from annex_d365.errors import ConnectorError, OutageError, SettingError
from annex_d365_airbyte import protocol
from annex_d365_airbyte.catalog import airbyte_catalog, singer_catalog, singer_state
from annex_d365_airbyte.protocol import ConfiguredCatalog, FailureType, Level, Message
from annex_d365_airbyte.specification import connection_specification
from annex_d365_airbyte.writer import AirbyteWriter, Output, SilentWriter

_LEVELS: Mapping[int, Level] = {
    logging.CRITICAL: "FATAL",
    logging.ERROR: "ERROR",
    logging.WARNING: "WARN",
    logging.INFO: "INFO",
    logging.DEBUG: "DEBUG",
}


@dataclass(frozen=True)
class Source:
    """A tap as a source.

    Attributes:
        name: of the executable.
        tap: what reads.
        settings: JSON Schema of the tap's settings, without those of the SDK: Airbyte has mappings of its own.
        incremental: streams that go on where their state is, though Singer has no name for how.
        resumable: streams that are read whole, and go on where they broke off.
    """

    name: str
    tap: type[Tap]
    settings: Mapping[str, Any]
    incremental: Collection[str] = ()
    resumable: Collection[str] = ()

    def spec(self) -> Message:
        """What has to be configured."""
        form = connection_specification(self.settings)
        return protocol.SpecMessage(spec=protocol.Specification(form, supportsIncremental=True))

    def check(self, config: Mapping[str, Any]) -> Message:
        """Whether the settings work: one record of each stream can be read."""
        try:
            self._tap(config, message_writer=SilentWriter()).run_connection_test()
        except (ConnectorError, ConfigValidationError) as error:
            status = protocol.ConnectionStatus("FAILED", _sentence(error))
        else:
            status = protocol.ConnectionStatus("SUCCEEDED")
        return protocol.ConnectionStatusMessage(connectionStatus=status)

    def discover(self, config: Mapping[str, Any]) -> Message:
        """The streams that there are."""
        found = self._tap(config).catalog_dict
        catalog = airbyte_catalog(found, incremental=self.incremental, resumable=self.resumable)
        return protocol.CatalogMessage(catalog=catalog)

    def read(
        self, config: Mapping[str, Any], configured: ConfiguredCatalog, states: Mapping[str, Any], output: Output
    ) -> None:
        """Write the records of the streams that are configured."""
        state = singer_state(states, configured)
        writer = AirbyteWriter(output)
        # What there is has to be known before it can be selected.
        catalog = singer_catalog(self._tap(config).catalog_dict, configured)
        tap = self._tap(config, catalog=catalog, state=state, message_writer=writer)
        writer.begin(tap.streams.values(), state)
        try:
            tap.sync_all()
        except Exception:
            writer.fail()
            raise
        writer.end()

    def _tap(self, config: Mapping[str, Any], **more: Any) -> Tap:
        tap = self.tap(config=dict(config), **more)
        # So a platform ends a source that it needs no more. What is written stands; the SDK would write in the middle.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        return tap


def run(source: Source, arguments: Sequence[str] | None = None) -> int:
    """Carry out a command; the exit code."""
    chosen = _parser(source.name).parse_args(arguments)
    output = Output(sys.stdout.buffer)
    logging.basicConfig(level=logging.INFO, handlers=[_LogHandler(output)], force=True)
    try:
        if chosen.command == "spec":
            output.write(source.spec())
            return 0
        config = _decode(chosen.config, "config", dict[str, Any])
        if chosen.command == "check":
            output.write(source.check(config))
        elif chosen.command == "discover":
            output.write(source.discover(config))
        else:
            source.read(config, _decode(chosen.catalog, "catalog", ConfiguredCatalog), _states(chosen.state), output)
    except Exception as error:  # noqa: BLE001 - the platform wants to be told
        output.write(protocol.TraceMessage(trace=protocol.ErrorTrace(emitted_at=protocol.now(), error=_error(error))))
        return 1
    return 0


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=name, description="An Airbyte source.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("spec", help="tell what has to be configured")
    for command, text in (
        ("check", "tell whether a configuration works"),
        ("discover", "tell which streams there are"),
        ("read", "read streams"),
    ):
        parts = commands.add_parser(command, help=text)
        parts.add_argument("--config", required=True, type=Path)
        if command == "read":
            parts.add_argument("--catalog", required=True, type=Path)
            parts.add_argument("--state", type=Path)
    return parser


def _decode(path: Path, name: str, kind: Any) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError):
        raise SettingError(name, "the file cannot be read, or is not what Airbyte makes.") from None


def _states(path: Path | None) -> Mapping[str, Any]:
    if path is None:
        return {}
    try:
        return protocol.read_states(path.read_bytes())
    except (OSError, msgspec.MsgspecError):
        raise SettingError("state", "the file cannot be read, or is not what Airbyte makes.") from None


def _sentence(error: Exception) -> str:
    return " ".join(error.errors) if isinstance(error, ConfigValidationError) else str(error)


def _error(error: Exception) -> protocol.Error:
    """What the user is told. The text of a bug is left out: it may hold what was read."""
    if isinstance(error, (ConnectorError, ConfigValidationError)):
        outage: FailureType = "transient_error" if isinstance(error, OutageError) else "system_error"
        mendable = isinstance(error, (SettingError, ConfigValidationError))
        return protocol.Error(_sentence(error), "config_error" if mendable else outage)
    trace = "".join(traceback.format_tb(error.__traceback__))
    return protocol.Error(f"This is a bug: {type(error).__name__}.", "system_error", stack_trace=trace)


class _LogHandler(logging.Handler):
    """Log lines as LOG messages."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        """Write it, without a traceback: that of an error is in its TRACE."""
        level = _LEVELS.get(record.levelno, "INFO")
        self._output.write(protocol.LogMessage(log=protocol.Log(level, record.getMessage())))
