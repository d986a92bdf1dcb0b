"""INCREMENTAL and FULL_TABLE, whatever changes and whatever is killed. LOG_BASED has log_based/."""

from __future__ import annotations

import gc
import io
import json
import random
from contextlib import redirect_stdout
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import CONTACTS, Messages, run_tap, tap_config

from annex_d365.dataverse.client import Dataverse
from annex_d365_sandbox.sandbox import Sandbox
from tap_d365.streams import TableStream
from tap_d365.tap import TapD365

KEYS = [f"00000000-0000-4000-8000-{number:012}" for number in range(12)]


class Killed(BaseException):
    """The process is gone."""


def run_and_kill(config, state, *, after):
    """A run that may be killed after so many records; its messages, and whether it came to an end."""
    left = [after]
    write = TapD365.write_message

    def writing(self, message):
        write(self, message)
        if message.type == "RECORD" and left[0] is not None:
            left[0] -= 1
            if left[0] < 0:
                raise Killed

    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with (
        patch.object(TapD365, "write_message", writing),
        patch.object(TableStream, "STATE_MSG_FREQUENCY", 2),
        redirect_stdout(out),
    ):
        try:
            TapD365(config=dict(config), state=json.loads(json.dumps(state)) if state else None).sync_all()
            ended = True
        except Killed:
            ended = False
    gc.collect()  # the workers of the killed run end
    return Messages.read(out.buffer.getvalue().decode()), ended


@pytest.fixture(scope="module")
def small():
    """A sandbox of this module, without contacts."""
    with Sandbox(contacts=0) as sandbox:
        yield sandbox


@settings(max_examples=12)
@given(st.integers(0, 2**32))
def test_incremental_the_mirror_holds_every_row_after_every_completed_run(small, seed):
    """Random edits and new rows between runs, runs killed anywhere; what came after the last STATE is lost."""
    chance, sandbox = random.Random(seed), small
    sandbox.control.reset()
    mirror, state, held = {}, None, {}
    for step in range(6):
        for key in chance.sample(KEYS, chance.randrange(len(KEYS))):
            values = {"lastname": f"Name {step}"}
            if key in held:
                sandbox.organisation.update("contact", key, values)
            else:
                sandbox.organisation.create("contact", {"contactid": key, **values})
            held[key] = values["lastname"]
        config = tap_config(sandbox, page_size=chance.randrange(1, 5), max_parallel_requests=chance.randrange(1, 4))
        last = step == 5
        kill = None if last or chance.random() < 0.4 else chance.randrange(8)
        messages, ended = run_and_kill(config, state, after=kill)
        if not ended:
            kept = max((at for at, each in enumerate(messages) if each["type"] == "STATE"), default=-1)
            messages = Messages(messages[: kept + 1])
        mirror.update({record["contactid"]: record["lastname"] for record in messages.records()})
        state = messages.states[-1] if messages.states else state
        if ended:
            assert mirror == held


@pytest.mark.parametrize("emit", [True, False])
def test_full_table_tells_that_all_was_sent_when_it_was(sandbox, emit):
    config = tap_config(
        sandbox,
        tables=[{"name": "contacts", "replication": "FULL_TABLE"}],
        page_size=50,
        emit_activate_version_messages=emit,
    )
    messages = run_tap(config)
    assert len(messages.records()) == CONTACTS
    kinds = [message["type"] for message in messages if message["type"] != "STATE"]
    assert kinds.count("ACTIVATE_VERSION") == emit
    if emit:
        assert kinds[-1] == "ACTIVATE_VERSION"
        (activated,) = messages.of("ACTIVATE_VERSION")
        assert {message["version"] for message in messages.of("RECORD")} == {activated["version"]}
    assert len(run_tap(config, state=messages.states[-1]).records()) == CONTACTS


@pytest.mark.parametrize("part", [{"top": 5}, {"shard": {"to": "2025-01-01T00:00:00Z"}}])
def test_a_part_of_a_table_is_not_all_of_it(sandbox, caplog, part):
    config = tap_config(
        sandbox,
        tables=[{"name": "contacts", "replication": "FULL_TABLE", "top": part.get("top")}],
        shard=part.get("shard"),
        emit_activate_version_messages=True,
    )
    messages = run_tap(config)
    assert 0 < len(messages.records()) < CONTACTS
    assert messages.of("ACTIVATE_VERSION") == []
    assert "these are not all rows" in caplog.text


def test_full_table_that_breaks_off_tells_nothing(sandbox):
    sandbox.faults.add(route="/contacts", kind="status", status=400, after=2)
    config = tap_config(
        sandbox,
        tables=[{"name": "contacts", "replication": "FULL_TABLE"}],
        page_size=50,
        emit_activate_version_messages=True,
    )
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with redirect_stdout(out), pytest.raises(Exception, match="refused GET"):
        TapD365(config=config).sync_all()
    messages = Messages.read(out.buffer.getvalue().decode())
    assert 0 < len(messages.records()) < CONTACTS
    assert messages.of("ACTIVATE_VERSION") == []


def of_contacts(url):
    return url.startswith("contacts?") or "/contacts?" in url


def test_links_are_followed_with_care(sandbox):
    """An empty page with a link goes on; a link to another host is refused before anything is sent there."""
    real, asked = Dataverse._read, []

    def read(self, url, prefer, decoder):
        asked.append(url)
        page = real(self, url, prefer, decoder)
        if of_contacts(url) and sum(map(of_contacts, asked)) == 1:
            page.value.clear()
        return page

    with patch.object(Dataverse, "_read", read):
        records = run_tap(tap_config(sandbox, page_size=100, max_parallel_requests=1)).records()
    assert len(records) == CONTACTS - 100

    def elsewhere(self, url, prefer, decoder):
        page = real(self, url, prefer, decoder)
        if of_contacts(url):
            page.next_link = "https://evil.example/api/data/v9.2/contacts"
        return page

    with patch.object(Dataverse, "_read", elsewhere), pytest.raises(Exception, match="pointed to another host"):
        run_tap(tap_config(sandbox, page_size=100, max_parallel_requests=1))


def test_links_in_a_circle(sandbox):
    real = Dataverse._read
    first = []

    def circle(self, url, prefer, decoder):
        page = real(self, url, prefer, decoder)
        if of_contacts(url):
            first.append(page.next_link)
            page.next_link = first[0]
        return page

    for replication in ("INCREMENTAL", "FULL_TABLE"):
        first.clear()
        config = tap_config(
            sandbox,
            page_size=100,
            max_parallel_requests=1,
            tables=[{"name": "contacts", "replication": replication}],
        )
        with patch.object(Dataverse, "_read", circle), pytest.raises(Exception, match="in a circle"):
            run_tap(config)
