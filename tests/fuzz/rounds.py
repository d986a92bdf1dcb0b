"""One round: a plugin runs in this process on something bad, and ends in a sentence, or well."""

from __future__ import annotations

import abc
import contextlib
import io
import logging
import random
import time
import traceback
from collections import Counter

import pytest
import requests
from singer_sdk.exceptions import ConfigValidationError

from annex_d365.errors import ConnectorError

#: What nobody waits for here.
QUICK = {
    "annex_d365.retry.MAX_PAUSE_SECONDS": 0.001,
    "annex_d365.http.MAX_TRIES": 4,
    "annex_d365.dataverse.segments.writing.POLL_SECONDS": 0.01,
    "annex_d365.dataverse.segments.writing.PATIENCE_SECONDS": 0.2,
    "annex_d365.dataverse.writes.batches.PATIENCE_SECONDS": 2.0,
    "target_annex.points.SETTLE_SECONDS": 0.0,
    "annex_d365.gate.Gate.sleep": lambda *_: None,
}


class BrokenError(AssertionError):
    """A round that ended otherwise."""


class Fuzzer(abc.ABC):
    """Rounds of one kind until the time is over.

    Subclasses say what a round is.

    Args:
        directory: for files of the plugins.
        seed: of the first round; the others follow.
    """

    name = ""

    def __init__(self, directory, seed):
        self.directory, self.seed = directory, seed
        self.counts: Counter[str] = Counter()

    def run(self, seconds, fewest=0):
        """Rounds for so long, and so many at least; raises :class:`BrokenError` with the first that ended badly."""
        until, number = time.monotonic() + seconds, 0
        with pytest.MonkeyPatch.context() as patch:
            for name, value in QUICK.items():
                patch.setattr(name, value)
            self.prepare(patch)
            while number < fewest or time.monotonic() < until:
                seed = f"{self.seed}/{number}"
                number += 1
                self.counts["rounds"] += 1
                try:
                    self.round(random.Random(seed))
                except BrokenError as broken:
                    raise BrokenError(f"{self.name}, seed {seed}: {broken}") from None

    def prepare(self, patch):  # noqa: B027 - not all kinds have something to prepare
        """Once, before the first round."""

    @abc.abstractmethod
    def round(self, chance):
        """One round. Raises :class:`BrokenError`."""

    def attempt(self, work):
        """Do it, and count how it ended: ``well``, or ``told`` in a sentence. Raises :class:`BrokenError` for a bug."""
        said = io.StringIO()
        handler = logging.StreamHandler(said)
        handler.setLevel(logging.ERROR)
        logging.getLogger().addHandler(handler)
        try:
            with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")):
                work()
        except (ConnectorError, ConfigValidationError) as error:
            self.counts["told"] += 1
            told = [str(error), *getattr(error, "errors", ())]
            if not all(told) or any("\n" in each for each in told):
                raise BrokenError(f"not a sentence: {told}") from None
            return error
        except requests.ConnectionError:
            raise BrokenError(f"a raw error of the network:\n{traceback.format_exc()}") from None
        except Exception:  # noqa: BLE001 - that is what is looked for
            raise BrokenError(traceback.format_exc()) from None
        finally:
            logging.getLogger().removeHandler(handler)
        self.counts["well"] += 1
        return None
