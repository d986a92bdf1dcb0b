"""The command line of taps and target: settings are checked, and errors told, in sentences without values."""

from __future__ import annotations

import difflib
import gc
import logging
import os
import select
import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial
from types import FrameType
from typing import Any

import click
import jsonschema_rs
from jsonschema import Draft7Validator
from singer_sdk import Target
from singer_sdk.exceptions import ConfigValidationError, MapExpressionError, StreamMapConfigError
from singer_sdk.plugin_base import PluginBase

from annex_d365 import discretion
from annex_d365.errors import ConnectorError, SettingError
from annex_d365.singer.writer import Writer

#: What a shell reports of a program that a signal ended is this plus the signal.
SIGNAL_EXIT_CODE = 128
_TYPE_WORDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
}
_RULE_WORDS = {
    "required": "is required",
    "minimum": "must be {} or more",
    "maximum": "must be {} or less",
    "minLength": "must not be empty",  # it is 1, wherever there is one
}

#: A setting of the SDK's streams that it does not declare.
_BATCH = "batch_config"


class Plugin(PluginBase):
    """Mixin, before ``Tap`` or ``Target``."""

    package_name = "annexcloud-d365"
    _terminating = False

    def __init__(self, *, config: Any = None, **kwargs: Any) -> None:
        # An empty setting is one that was not made.
        given = {name: value for name, value in config.items() if value is not None} if config else config
        super().__init__(config=given, **kwargs)

    @classmethod
    def cb_config(
        cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]
    ) -> Any:  # the SDK's own, private, input type
        """As in the SDK; a file that cannot be read is a usage error."""
        try:
            return super().cb_config(ctx, param, value)
        except (OSError, ValueError) as error:
            problem = "cannot be read" if isinstance(error, OSError) else "is not valid JSON"
            raise click.BadParameter(f"{', '.join(value)} {problem}.", ctx, param) from None

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """As in the SDK (plugin_base.py, 0.54.9), whose messages repeat the value: a secret, perhaps."""
        schema = self.config_jsonschema
        self.append_builtin_config(schema)
        for name in sorted(set(self.config) - set(schema["properties"]) - {_BATCH}):
            similar = difflib.get_close_matches(name, schema["properties"], n=1)
            hint = f"; did you mean `{similar[0]}`?" if similar else "."
            self.logger.warning("Setting `%s` is not known and has no effect%s", name, hint)
        # First: the SDK fills in defaults, also into what should be an object and is none.
        errors = list(setting_errors(self.config, schema))
        if not errors and super()._validate_config(raise_errors=False):
            errors = ["Settings: some are not valid."]
        if errors and raise_errors:
            raise ConfigValidationError("Config validation failed", errors=errors, schema=schema)
        return errors

    def setup_mapper(self) -> None:
        """As in the SDK; settings that no stream suits are told in a sentence.

        Raises:
            SettingError: stream maps or flattening ask for what cannot be done.
        """
        try:
            super().setup_mapper()
        except (MapExpressionError, StreamMapConfigError) as error:
            raise SettingError("stream_maps", f"cannot be followed. {error}") from None
        except ValueError as error:
            raise SettingError("flattening_separator", f"does not suit the streams. {error}.") from None

    def close(self) -> None:
        """Hook: end all waiting, because the process is to end."""

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """As in the SDK (plugin_base.py, 0.54.9), which then exits with 0 as if all were done.

        Requests in flight are still answered, and a message that is being written gets whole; a second signal ends at
        once.
        """
        if self._terminating:
            os._exit(SIGNAL_EXIT_CODE + signum)
        self._terminating = True
        end = partial(self._terminate, signum, frame)
        writer = getattr(self, "message_writer", None)
        if not (isinstance(writer, Writer) and writer.after_message(end)):
            end()

    def _terminate(self, signum: int, frame: FrameType | None) -> None:
        self.close()
        try:
            super()._handle_termination(signum, frame)
        except SystemExit:
            sys.exit(SIGNAL_EXIT_CODE + signum)


def setting_errors(config: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the settings: a sentence each, which names the setting and never its value."""
    for name in schema.get("required", ()):
        if name not in config:
            yield f"Setting `{name}`: is required."
    for name, rule in schema["properties"].items():
        if name not in config:
            continue
        try:
            validator = jsonschema_rs.validator_for(rule)
        except jsonschema_rs.ValidationError:  # some of the SDK's own rules are no JSON Schema to the letter
            yield from () if Draft7Validator(rule).is_valid(config[name]) else [f"Setting `{name}`: is not valid."]
            continue
        try:
            errors = list(validator.iter_errors(config[name]))
        except UnicodeEncodeError:
            yield f"Setting `{name}`: holds characters that are no text (half of a surrogate pair)."
            continue
        for error in errors:
            path = [name, *map(str, error.instance_path)]
            if error.kind.name == "required":
                path.append(str(error.kind.value))
            yield f"Setting `{'.'.join(path)}`: {_rule(error.kind)}."


def _rule(kind: Any) -> str:
    match kind.name:
        case "enum":
            return "must be one of " + ", ".join(str(each) for each in kind.options if each is not None)
        case "type":
            return "must be " + " or ".join(_TYPE_WORDS[each] for each in kind.types if each != "null")
        case "additionalProperties":
            return "has no part " + ", ".join(f"`{each}`" for each in kind.value)
        case rule:
            return _RULE_WORDS.get(rule, f"does not satisfy `{rule}` {{}}").format(kind.value)


#: What the SDK says around an error that is told in a sentence of its own.
_NOISE = ("An unhandled error occurred while syncing", "Config validation failed")
#: Of Python's garbage collector: about those of a batch.
_OBJECTS_BETWEEN_LOOKS = 20_000
#: How long a target that has failed goes on to take what its tap sends.
DISCARD_SECONDS = 10.0


def _no_noise(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_NOISE)


def run(plugin: type[PluginBase]) -> None:
    """The console script of ``plugin``: what the user can mend is one line and exit code 1, a bug has its traceback."""
    command = plugin.cli  # configures logging, too
    logger = logging.getLogger(plugin.name)
    discretion.install()
    for handler in logging.getLogger().handlers:
        handler.addFilter(_no_noise)
    code: Any = 0
    if issubclass(plugin, Target):
        _spare_the_collector()
    try:
        command()
    except SystemExit as stop:  # how click ends, always
        code = stop.code
    except ConfigValidationError as error:  # --test, where the SDK lets it pass
        for sentence in error.errors:
            logger.error(sentence)  # noqa: TRY400 - a traceback tells the user nothing
        code = 1
    except ConnectorError as error:
        logger.error(error)  # noqa: TRY400 - a sentence for the user, likewise
        code = 1
    except Exception:
        # The SDK's hook would repeat its message, which may quote a row.
        logger.exception("This is a bug of the connector.")
        code = 1
    if code in {1, 2} and issubclass(plugin, Target):
        _discard(sys.stdin.fileno())
    sys.exit(code)


def _spare_the_collector() -> None:
    """Rows make many objects and no cycles: to look for some after each 700 objects takes a tenth of the time.

    What is imported stays anyway.
    """
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_LOOKS)


def _discard(descriptor: int) -> None:
    """Take what the tap still sends, or Meltano, which runs the pipe, would log tracebacks of its own."""
    end = time.monotonic() + DISCARD_SECONDS
    while not os.isatty(descriptor) and (left := end - time.monotonic()) > 0:
        readable, _, _ = select.select([descriptor], [], [], left)
        if not readable or not os.read(descriptor, 1 << 16):
            return
