"""Classes of which several instances are made for each row."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

from annex_d365.frozen import frozen


@frozen
class Quick:
    key: str
    secret: str = field(default="", repr=False)


@dataclass(frozen=True)
class Slow:
    key: str
    secret: str = field(default="", repr=False)


def test_they_are_as_frozen_dataclasses_are():
    quick, slow = Quick("a", "b"), Slow("a", "b")
    assert [each.name for each in fields(quick)] == [each.name for each in fields(slow)]
    assert repr(quick) == repr(slow).replace("Slow", "Quick")
    assert quick == Quick("a", "b") != replace(quick, key="c")
    assert len({quick, Quick("a", "b"), Quick("a")}) == 2
    assert not hasattr(quick, "__dict__")
