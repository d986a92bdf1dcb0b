"""Words of a site about segments, and ours."""

from __future__ import annotations

import pytest

from annex_d365.annexcloud.connect import segment_words
from annex_d365.annexcloud.segment_words import SegmentWords

OWN = SegmentWords(static="Manual", dynamic="Rule", active="ON", inactive="OFF")


@pytest.mark.parametrize(
    ("words", "word", "kind"),
    [
        (SegmentWords(), "Static", "static"),
        (SegmentWords(), "manual", "other"),
        (OWN, "MANUAL", "static"),
        (OWN, "rule", "dynamic"),
        (OWN, "static", "static"),
        (OWN, "", None),
        (OWN, None, None),
    ],
)
def test_kinds(words, word, kind):
    assert words.kind(word) == kind


@pytest.mark.parametrize(
    ("words", "word", "status"),
    [
        (SegmentWords(), "Active", "active"),
        (SegmentWords(), "DRAFT", "draft"),
        (OWN, "on", "active"),
        (OWN, "OFF", "inactive"),
        (OWN, None, None),
    ],
)
def test_statuses(words, word, status):
    assert words.status(word) == status


def test_some_words_are_set():
    assert segment_words({"segment_words": {"all": "every", "static": ""}}) == SegmentWords(all="every")
    assert segment_words({}) == SegmentWords()
