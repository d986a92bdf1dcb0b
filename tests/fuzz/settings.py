"""Settings: every one of every plugin gets values of its kind, or of no kind at all."""

from __future__ import annotations

import io

import requests
from singer_sdk import Target

from annex_d365 import http
from fuzz import hostile
from fuzz.rounds import BrokenError, Fuzzer
from tap_annex.tap import TapAnnex
from tap_d365.tap import TapD365
from target_annex.target import TargetAnnex, TargetD365

PLUGINS = (TapD365, TapAnnex, TargetAnnex, TargetD365)
#: What begins a run that would succeed, were there a service.
GOOD = {
    "organization_url": "https://contoso.crm4.dynamics.com",
    "tenant_id": "contoso.example",
    "client_id": "5a0d0000-c11e-4c0d-8e11-000000000001",
    "client_secret": "hunter2-secret",
    "base_url": "https://annex.example/api/3.0",
    "site_id": "1",
    "site_name": "shop",
    "secret_key": "hunter2-secret-key",
    "destination": "annex_cloud",
}
SECRETS = ("hunter2-secret", "hunter2-secret-key")
WORDS = (
    "by",
    "path",
    "name",
    "select",
    "filter",
    "from",
    "to",
    "object",
    "key",
    "fields",
    "mode",
    "columns",
    "status",
    "segments",
    "contacts",
)


class Nowhere(requests.adapters.BaseAdapter):
    """No network."""

    def send(self, request, **_):
        raise requests.ConnectionError(request=request)

    def close(self):
        """Nothing to close."""


class Settings(Fuzzer):
    """A wrong setting is named, and its value is not told."""

    name = "settings"

    def prepare(self, patch):
        real = http.new_session

        def session(ca_bundle):
            made = real(None)
            made.mount("https://", Nowhere())
            made.mount("http://", Nowhere())
            return made

        patch.setattr(http, "new_session", session)
        patch.chdir(self.directory)

    def round(self, chance):
        plugin = chance.choice(PLUGINS)
        properties = plugin.config_jsonschema["properties"]
        config = {name: value for name, value in GOOD.items() if name in properties}
        if issubclass(plugin, Target):
            config |= {"ledger_url": "sqlite://", "destination": chance.choice(["annex_cloud", "d365"])}
        # What a `batch_config` holds is the SDK's own business: our writer and our target take no BATCH.
        for name in chance.sample(sorted(properties.keys() - {"batch_config"}), chance.randint(1, 4)):
            config[name] = self._value(properties[name], chance)
        if plugin is TargetD365:
            config.pop("destination", None)
        error = self.attempt(lambda: self._run(plugin, config))
        told = " ".join([str(error), *getattr(error, "errors", ())])
        if error and not any(name in told for name in {*properties, *config}):
            raise BrokenError(f"no setting is named: {told!r} for {sorted(config)}")
        if any(secret in told for secret in SECRETS):
            raise BrokenError(f"a secret is told: {told}")

    def _run(self, plugin, config):
        made = plugin(config=config)
        if isinstance(made, Target):
            made.listen(io.StringIO(""))
        else:
            made.sync_all()

    def _value(self, rule, chance):  # noqa: PLR0911 - one for each kind
        kinds = rule.get("type", ["object"])
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if chance.random() < 0.3:
            return hostile.value(chance)
        if "enum" in rule and chance.random() < 0.7:
            return chance.choice(rule["enum"])
        match chance.choice(kinds):
            case "integer":
                return chance.choice([0, 1, -1, 10**9, 2**70])
            case "number":
                return chance.choice(hostile.NUMBERS)
            case "boolean":
                return chance.random() < 0.5
            case "array":
                return [self._part(chance, 2) for _ in range(chance.randint(0, 3))]
            case "object":
                return self._part(chance, 3)
            case "null":
                return None
        return chance.choice([*hostile.TEXTS, "https://x.example", "http://127.0.0.1:1", "https://[::1", "2026-01-01"])

    def _part(self, chance, depth):
        if depth and chance.random() < 0.7:
            return {
                chance.choice([*WORDS, *hostile.NAMES]): self._part(chance, depth - 1)
                for _ in range(chance.randint(0, 4))
            }
        return hostile.value(chance)
