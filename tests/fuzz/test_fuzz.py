"""Some seconds of each kind of bad input; `make fuzz` takes longer."""

from __future__ import annotations

import logging

import pytest

from fuzz.kinds import KINDS
from fuzz.rounds import BrokenError

SECONDS, FEWEST_ROUNDS = 5, 5


@pytest.fixture(autouse=True)
def quiet():
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_bad_input_ends_in_a_sentence(kind, tmp_path):
    fuzzer = kind(tmp_path, seed=7)
    fuzzer.run(SECONDS)
    assert fuzzer.counts["rounds"] >= FEWEST_ROUNDS
    assert fuzzer.counts["told"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_traceback_would_be_seen(kind, tmp_path):
    def bug():
        raise KeyError("x")

    with pytest.raises(BrokenError, match="KeyError"):
        kind(tmp_path, seed=7).attempt(bug)
