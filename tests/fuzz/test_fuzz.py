"""Some rounds of each kind of bad input; `make fuzz` takes longer."""

from __future__ import annotations

import logging

import pytest

from fuzz.kinds import KINDS
from fuzz.rounds import BrokenError

#: However slow the machine is: the same rounds each time.
ROUNDS = 12


@pytest.fixture(autouse=True)
def quiet():
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_bad_input_ends_in_a_sentence(kind, tmp_path):
    fuzzer = kind(tmp_path, seed=7)
    fuzzer.run(0, fewest=ROUNDS)
    assert fuzzer.counts["rounds"] == ROUNDS
    assert fuzzer.counts["told"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_traceback_would_be_seen(kind, tmp_path):
    def bug():
        raise KeyError("x")

    with pytest.raises(BrokenError, match="KeyError"):
        kind(tmp_path, seed=7).attempt(bug)
