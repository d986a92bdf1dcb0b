"""Alternate keys are of use only when their index is: what is done until then, and when it cannot be made."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from annex_d365.dataverse.writes import provision
from annex_d365.errors import ServiceError, SettingError
from annex_d365.provision import loyalty_tables

(TABLE, *_) = [table for table in loyalty_tables() if table.keys]
KEY = TABLE.keys[0]


class Organisation:
    """Knows the table with all its keys, whose status changes with each look."""

    def __init__(self, *statuses):
        self.statuses, self.slept = list(statuses), []
        self.http = SimpleNamespace(gate=SimpleNamespace(sleep=self.slept.append))
        self.root, self.headers = "https://org.crm.dynamics.com/api/data/v9.2/", {}

    def rows(self, _dataverse, url):
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        keys = [{"KeyAttributes": [*key.columns], "EntityKeyIndexStatus": status} for key in TABLE.keys]
        return keys if "/Keys?" in url else [{"Attributes": [], "Keys": keys}]


@pytest.fixture
def organisation(monkeypatch):
    def make(*statuses):
        made = Organisation(*statuses)
        monkeypatch.setattr(provision, "_rows", made.rows)
        monkeypatch.setattr(provision, "Calls", lambda *_: None)
        return made

    return make


def waiting_steps(organisation):
    return [step for step in provision.plan(organisation, [TABLE]) if step.key_of and not step.url]


def test_an_index_in_the_making_is_waited_for(organisation):
    there = organisation("InProgress", "Pending", "InProgress", "Active")
    steps = waiting_steps(there)
    assert [step.sentence.partition(" (")[0] for step in steps] == [
        f"Wait for alternate key {key.schema_name}" for key in TABLE.keys
    ]
    provision.apply(there, steps)
    assert len(there.slept) == 2


@pytest.mark.parametrize("carry_out", [False, True])
def test_an_index_that_failed_names_the_columns_that_have_equal_values(organisation, carry_out):
    there = organisation("Pending" if carry_out else "Failed", "Failed")
    with pytest.raises(SettingError, match="two rows have equal values") as error:
        provision.apply(there, waiting_steps(there))
    assert ", ".join(KEY.columns) in str(error.value)


def test_an_index_that_takes_too_long_is_left_to_itself(organisation, monkeypatch):
    monkeypatch.setattr(provision, "KEY_SECONDS", -1)
    there = organisation("Pending")
    with pytest.raises(ServiceError, match="not ready yet; look again later") as error:
        provision.apply(there, waiting_steps(there))
    assert not isinstance(error.value, SettingError)
    assert there.slept == []
