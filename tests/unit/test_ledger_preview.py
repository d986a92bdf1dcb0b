"""What a dry run sees of the ledger, and what it leaves alone."""

from __future__ import annotations

import shutil
import sqlite3
import uuid
from contextlib import closing

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annex_d365.ledger import Claim, Entry, Ledger


def test_a_preview_creates_no_file_and_sees_itself(tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db", site="s", run="r", preview=True)
    book = ledger.book("members", "contacts")
    book.save([Entry("k", "t")])
    assert book.claim([Claim("k", "t", by_id=False), Claim("l", "t", by_id=False)]) == {"t": "k"}
    assert book.entries(["k"])["k"].run == "r"
    ledger.close()
    assert list(tmp_path.iterdir()) == []


def test_a_preview_changes_nothing(ledger, book):
    book.save([Entry("k", "t"), Entry("l", "u")])
    book.claim([Claim("k", "t", by_id=False)])
    preview = ledger(run="run-2", preview=True).book("members", "contacts")
    preview.save([Entry("k", "new")])
    preview.release(["k"])
    assert preview.claim([Claim("m", "t", by_id=False)]) == {"t": "m"}
    assert (preview.entries(["k"])["k"].target, preview.entries(["l"])["l"].target) == ("new", "u")
    assert set(preview.by_target(["t", "u", "new"])) == {"u", "new"}
    assert book.entries(["k"])["k"].target == "t"
    assert book.claim([Claim("n", "t", by_id=False)]) == {"t": "k"}


def test_a_preview_takes_another_database_for_an_empty_ledger(tmp_path):
    with closing(sqlite3.connect(tmp_path / "other.db")) as file, file:
        file.execute("CREATE TABLE other (x)")
    file.close()
    ledger = Ledger(f"sqlite:///{tmp_path}/other.db", site="s", run="r", preview=True)
    assert ledger.book("members", "contacts").entries(["k"]) == {}
    ledger.close()


keys, targets = st.sampled_from("abcd"), st.sampled_from(["1", "2", "x@example.com", "X@example.com"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("save"), st.lists(st.builds(Entry, key=keys, target=targets, at=st.just(1.0)))),
        st.tuples(st.just("claim"), st.lists(st.builds(Claim, key=keys, target=targets, by_id=st.booleans()))),
        st.tuples(st.just("release"), st.lists(keys)),
        st.tuples(st.just("entries"), st.just("abcd")),
        st.tuples(st.just("by_target"), st.just(["1", "2", "x@example.com"])),
    ),
    max_size=8,
)


def perform(ledger, sequence):
    answers = []
    for stream, (method, argument) in sequence:
        answer = getattr(ledger.book("members", stream), method)(argument)
        if method == "by_target":
            answer = {target: {(each.stream, each.key) for each in found} for target, found in answer.items()}
        answers.append(answer)
    return answers


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_preview_answers_as_the_real_run_would(tmp_path, data):
    streams = st.sampled_from(["contacts", "leads"])
    before, after = (
        [(data.draw(streams), step) for step in [*data.draw(steps), ("by_target", ["1", "2", "x@example.com"])]]
        for _ in range(2)
    )
    real, kept = tmp_path / f"{uuid.uuid4()}.db", tmp_path / f"{uuid.uuid4()}.db"
    ledger = Ledger(f"sqlite:///{real}", site="s", run="r")
    perform(ledger, before)
    ledger.close()
    shutil.copy(real, kept)
    content = kept.read_bytes()
    ledger = Ledger(f"sqlite:///{real}", site="s", run="r")
    preview = Ledger(f"sqlite:///{kept}", site="s", run="r", preview=True)
    assert perform(preview, after) == perform(ledger, after)
    preview.close()
    ledger.close()
    assert kept.read_bytes() == content
