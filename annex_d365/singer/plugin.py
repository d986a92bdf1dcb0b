"""The command line of taps and target: settings are checked, and errors told, in sentences without values."""

from __future__ import annotations

import difflib
import logging
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import click
import jsonschema_rs
from jsonschema import Draft7Validator
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.plugin_base import PluginBase

from annex_d365.errors import ConnectorError

_TYPE_WORDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
}


class Plugin(PluginBase):
    """Mixin, before ``Tap`` or ``Target``."""

    package_name = "annexcloud-d365"

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
        wrong = super()._validate_config(raise_errors=False)  # fills in the defaults, too
        schema = self.config_jsonschema
        for name in sorted(set(self.config) - set(schema["properties"])):
            similar = difflib.get_close_matches(name, schema["properties"], n=1)
            hint = f"; did you mean `{similar[0]}`?" if similar else "."
            self.logger.warning("Setting `%s` is not known and has no effect%s", name, hint)
        if not wrong:
            return []
        errors = list(setting_errors(self.config, schema))
        if raise_errors:
            raise ConfigValidationError("Config validation failed", errors=errors, schema=schema)
        return errors


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
        for error in validator.iter_errors(config[name]):
            path = [name, *map(str, error.instance_path)]
            if error.kind.name == "required":
                path.append(str(error.kind.value))
            yield f"Setting `{'.'.join(path)}`: {_rule(error.kind)}."


def _rule(kind: Any) -> str:
    match kind.name:
        case "required":
            return "is required"
        case "enum":
            return "must be one of " + ", ".join(str(each) for each in kind.options if each is not None)
        case "type":
            return "must be " + " or ".join(_TYPE_WORDS[each] for each in kind.types if each != "null")
        case rule:
            return f"does not satisfy `{rule}` {kind.value}"


def run(plugin: type[PluginBase]) -> None:
    """The console script of ``plugin``: what the user can mend is one line and exit code 1, a bug has its traceback."""
    command = plugin.cli
    logger = logging.getLogger(plugin.name)
    try:
        command()
    except ConfigValidationError as error:  # --test, where the SDK lets it pass
        for sentence in error.errors:
            logger.error(sentence)  # noqa: TRY400 - a traceback tells the user nothing
        sys.exit(1)
    except ConnectorError as error:
        logger.error(error)  # noqa: TRY400
        sys.exit(1)
