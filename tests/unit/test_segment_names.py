"""Ids and names of segments of which the reference page has two (Dataverse pages 8.3, 8.6)."""

from __future__ import annotations

import pytest

from annex_d365.dataverse.segments.generations import MEMBER_IDS
from annex_d365.dataverse.segments.journey_ids import JourneyIds
from annex_d365.dataverse.segments.outbound_names import OutboundNames
from annex_d365.dataverse.segments.segment import Segment
from annex_d365.errors import RowError, ServiceError, SettingError

SEGMENT = Segment("own", "journeys", definition="its")


class Action:
    """Takes one id, or one set of names; refuses any other."""

    def __init__(self, taken, refusal):
        self.taken, self.refusal, self.asked = taken, refusal, []

    def __call__(self, given):
        self.asked.append(given)
        if given != self.taken:
            raise self.refusal
        return "done"


@pytest.mark.parametrize(("taken", "asked"), [("own", ["own", "own"]), ("its", ["own", "its", "its"])])
def test_the_id_that_is_taken_goes_first(taken, asked):
    ids, action = JourneyIds(), Action(taken, ServiceError("", status=404))
    assert [ids.send(SEGMENT, action) for _ in range(2)] == ["done", "done"]
    assert action.asked == asked


def test_a_segment_that_is_gone():
    ids, action = JourneyIds(), Action("", ServiceError("gone", status=404))
    with pytest.raises(ServiceError, match="gone"):
        ids.send(SEGMENT, action)
    assert action.asked == ["own", "its"]


@pytest.mark.parametrize("status", [400, 403, 500])
def test_another_refusal_is_not_about_the_id(status):
    action = Action("its", ServiceError("no", status=status))
    with pytest.raises(ServiceError, match="no"):
        JourneyIds().send(SEGMENT, action)
    assert action.asked == ["own"]


def test_a_segment_without_a_definition():
    action = Action("", ServiceError("gone", status=404))
    with pytest.raises(ServiceError, match="gone"):
        JourneyIds().send(Segment("own", "journeys"), action)
    assert action.asked == ["own"]


OURS = {"msdyncrm_segmentname": "-", "msdyncrm_segmentquery": "PROFILE(contact)", MEMBER_IDS: "[]"}
OTHERS = {"msdyncrm_segmentname": "-", "msdyncrm_query": "PROFILE(contact)", "msdyncrm_memberids": "[]"}
REFUSALS = [RowError("bad", status=400), SettingError("streams", "bad: no such column")]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_the_names_that_are_taken_go_first(refusal):
    names, action = OutboundNames(), Action(OTHERS, refusal)
    assert [names.send(OURS, action) for _ in range(2)] == ["done", "done"]
    assert action.asked == [OURS, OTHERS, OTHERS]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_the_first_refusal_is_told(refusal):
    action = Action({}, refusal)
    with pytest.raises(type(refusal), match="bad"):
        OutboundNames().send(OURS, action)
    assert action.asked == [OURS, OTHERS]


@pytest.mark.parametrize("refusal", [RowError("gone", status=404), SettingError("client_id", "gone")])
def test_a_refusal_that_is_not_about_names(refusal):
    action = Action(OTHERS, refusal)
    with pytest.raises(type(refusal), match="gone"):
        OutboundNames().send(OURS, action)
    assert action.asked == [OURS]


def test_what_has_one_name_only_is_sent_once():
    action = Action({}, RowError("bad", status=400))
    with pytest.raises(RowError):
        OutboundNames().send({"msdyncrm_segmentname": "-"}, action)
    assert len(action.asked) == 1
