"""Members of segments: paging, splitting, groups, without a service."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from segment_pages import ROOT, contact, guids, page_of

from annex_d365.dataverse.batch import MAX_URL
from annex_d365.dataverse.segments import journeys, outbound
from annex_d365.dataverse.segments.journeys import LARGE_LIST, JourneysMembers
from annex_d365.dataverse.segments.members import ContactColumns
from annex_d365.dataverse.segments.outbound import OutboundMembers
from annex_d365.dataverse.segments.segment import Segment
from annex_d365.errors import ServiceError, SettingError


class Asked:
    """Answers actions by a function, and pages of contacts by their ids."""

    root = ROOT

    def __init__(self, answer, row=None):
        self.answer, self.calls, self.pages, self._row = answer, [], [], row or {}

    def ask(self, action, body):
        self.calls.append((action, body))
        return self.answer(body)

    def get(self, _url):
        return self._row

    def page(self, url, _size, _annotations=""):
        self.pages.append(url)
        ids = re.findall(r"'([0-9a-f-]{36})'", url)
        # Not in the order of the question, and without the last contact.
        return page_of(*({"contactid": each, "lastname": each[-3:]} for each in ids[-2::-1]))

    row = staticmethod(msgspec.json.decode)


def sql_order(key):
    """SQL Server compares the last bytes first."""
    return key[24:] + key[19:23] + key[:18]


def queried(members, wall=None, order=str, cap=None, hidden=()):
    """Answers queries of outbound marketing about these ids, with its wall.

    ``order`` is that of ORDERBY; conditions compare texts. Pages have ``cap`` rows at most, ``hidden`` ones left out.
    """

    def answer(body):
        found = re.fullmatch(
            r"\(SEGMENT\(SEGMENT_1\)(?: INTERSECT PROFILE\(contact\)\.FILTER\((.+)\))?\)"
            r"\.ORDERBY\(contactid ASC\)\.SKIP\((\d+)\)\.TAKE\((\d+)\)\.SELECT\(contactid\)",
            body["Query"],
        )
        conditions, skip, take = found[1] or "", int(found[2]), int(found[3])
        fetch = ET.fromstring(body["FetchXml"])
        assert (int(fetch.get("count")), int(fetch.get("page"))) == (take, skip // take + 1)
        assert not wall or skip + take <= wall
        rest = sorted(members, key=order)
        for sign, key in re.findall(r"contactid (>|<=) '([^']+)'", conditions):
            rest = [each for each in rest if (each > key) == (sign == ">")]
        rest = rest[skip : skip + min(take, cap or take)]
        return {"value": [{"contactid": each} for each in rest if each not in hidden]}

    return answer


OLD = Segment(contact(0), "outbound", query_name="SEGMENT_1", status="live")
NEW = Segment(contact(0), "journeys", definition=contact(8), status="live")


def ids_of(members, segment):
    return [row["contactid"] for page in members.pages(segment) for row in page]


@given(st.sets(guids, max_size=40), st.integers(1, 7), st.integers(2, 4), st.sampled_from([str, sql_order]))
def test_outbound_segments_are_split_at_the_wall(members, take, pages, order):
    wall = take * pages + 10
    organisation = Asked(queried(members, wall, order))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbound, "MAX_PAGED_ROWS", wall)
        found = ids_of(OutboundMembers(ContactColumns(organisation, page_size=take)), OLD)
    assert len(found) == len(members)
    assert set(found) == members


def test_conditions_that_are_passed_over():
    ids = [contact(number) for number in range(9)]
    answer = queried(ids)
    organisation = Asked(lambda body: answer({**body, "Query": re.sub(" INTERSECT .*?'\\)", "", body["Query"])}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbound, "MAX_PAGED_ROWS", 4)
        with pytest.raises(ServiceError, match="does not split"):
            ids_of(OutboundMembers(ContactColumns(organisation, page_size=2)), OLD)
    assert len(organisation.calls) < 9


def test_a_short_page_is_not_the_end():
    ids = [contact(number) for number in range(700)]
    hidden = {ids[3], ids[399], ids[699]}
    organisation = Asked(queried(ids, hidden=hidden))
    found = ids_of(OutboundMembers(ContactColumns(organisation, page_size=200)), OLD)
    assert found == [each for each in ids if each not in hidden]


@pytest.mark.parametrize("cap", [20, 150, 199])
def test_a_service_with_smaller_pages(cap):
    ids = [contact(number) for number in range(700)]
    organisation = Asked(queried(ids, cap=cap))
    assert ids_of(OutboundMembers(ContactColumns(organisation, page_size=200)), OLD) == ids


def test_what_outbound_is_asked():
    organisation = Asked(queried([]))
    columns = ContactColumns(organisation, ("contactid", "_parentcustomerid_value", "emailaddress1"))
    segment = Segment(contact(0), "outbound", query_name="SEGMENT_1", scope=270100001, business_unit=contact(3))
    assert ids_of(OutboundMembers(columns), segment) == []
    ((action, body),) = organisation.calls
    assert action == "msdyncrm_FetchContactsByQuery"
    assert (body["Scope"], body["OwningBusinessUnit"]) == (270100001, contact(3))
    attributes = [each.get("name") for each in ET.fromstring(body["FetchXml"]).iter("attribute")]
    assert attributes == ["contactid", "parentcustomerid", "emailaddress1"]


def test_a_page_that_comes_again_is_an_error():
    organisation = Asked(lambda _body: {"value": [{"contactid": contact(1)}]})
    with pytest.raises(ServiceError, match="repeats a page"):
        ids_of(OutboundMembers(ContactColumns(organisation, page_size=1)), OLD)


def test_the_name_of_a_query_is_not_put_into_a_query_unseen():
    with pytest.raises(ServiceError, match="no name"):
        ids_of(OutboundMembers(ContactColumns(Asked(None))), Segment("x", "outbound", query_name="a) UNION SEGMENT(b"))


def test_static_members_of_outbound():
    organisation = Asked(None, {"msdyncrm_segmentmemberids": json.dumps([f"crm{contact(2)}", contact(1), contact(2)])})
    members = OutboundMembers(ContactColumns(organisation, ("lastname",)))
    (page,) = members.pages(Segment(contact(0), "outbound", kind="static"))
    # In the order of the list; of a contact that cannot be read there is the id.
    assert page == [{"contactid": contact(2), "lastname": "002"}, {"contactid": contact(1)}]
    with pytest.raises(ServiceError, match="neither a query nor a list"):
        ids_of(OutboundMembers(ContactColumns(Asked(None))), Segment("x", "outbound"))


def test_withdrawn():
    def gone(_body):
        raise SettingError("tables", "there is no table `msdyncrm_FetchContactsByQuery`.")

    with pytest.raises(ServiceError, match="gone from this organisation"):
        ids_of(OutboundMembers(ContactColumns(Asked(gone))), OLD)


def test_contacts_are_asked_for_in_chunks(monkeypatch):
    monkeypatch.setattr("annex_d365.dataverse.segments.members.KEYS_PER_REQUEST", 3)
    ids = [contact(number) for number in range(7)]
    organisation = Asked(None)
    pages = list(ContactColumns(organisation, ("lastname",)).of(ids))
    assert [[row["contactid"] for row in page] for page in pages] == [ids[:3], ids[3:6], ids[6:]]
    assert len(organisation.pages) == 3
    assert all(len(url) < 32_768 for url in organisation.pages)
    assert list(ContactColumns(organisation).of(ids[:1])) == [[{"contactid": ids[0]}]]
    assert len(organisation.pages) == 3


def test_a_chunk_of_contacts_fits_into_a_url():
    organisation = Asked(None)
    wide = [f"cr0dd_some_column_with_a_long_name_{number:03d}" for number in range(80)]
    list(ContactColumns(organisation, wide).of([contact(number) for number in range(1500)]))
    assert max(map(len, organisation.pages)) + 200 < MAX_URL


def listed(text, status=200):
    return Asked(lambda _body: {"StatusCode": status, "ResultText": text})


def test_members_list():
    ids = [contact(1), contact(2)]
    organisation = listed(json.dumps({"baseEntityLogicalName": "contact", "members": ids}))
    assert ids_of(JourneysMembers(ContactColumns(organisation)), NEW) == ids
    assert organisation.calls == [("msdynmkt_MembersList", {"SegmentId": NEW.segment_id})]


@pytest.mark.parametrize(
    ("text", "status", "problem"),
    [
        ("{}", 400, "no list of members for it"),
        ('{"baseEntityLogicalName":"lead","members":[]}', 200, "no contacts"),
        ("{}", 200, "without a list of ids"),
        (None, 200, "without a list of members"),
        ("nonsense", 200, "without a list of members"),
    ],
)
def test_members_that_cannot_be_listed(text, status, problem):
    with pytest.raises(ServiceError, match=problem):
        ids_of(JourneysMembers(ContactColumns(listed(text, status))), NEW)


@given(
    st.lists(st.tuples(st.sampled_from(["Include", "Exclude"]), st.sets(st.integers(0, 9), max_size=6)), max_size=4),
    st.integers(1, 4),
)
def test_groups_are_included_and_excluded(groups, size):
    given_groups = {contact(100 + place): (kind, sorted(map(contact, ids))) for place, (kind, ids) in enumerate(groups)}
    memo = [{"groupId": key, "includeType": kind, "name": "x"} for key, (kind, _) in given_groups.items()]

    def answer(body):
        if "GroupId" not in body:  # a static segment without groups
            return {"StatusCode": 200, "ResultText": '{"members": []}'}
        start = (body["PageNo"] - 1) * body["PageSize"]
        ids = given_groups[body["GroupId"]][1][start : start + body["PageSize"]]
        return {"Response": json.dumps({"entityIds": ids, "additionalProperties": {}})}

    organisation = Asked(answer)
    row = {"msdynmkt_segmentdefinitionid": contact(8), "msdynmkt_staticlistmembers": json.dumps(memo)}
    organisation.page = lambda *_: page_of(row)
    segment = Segment(contact(0), "journeys", kind="static", definition=contact(8))
    members = JourneysMembers(ContactColumns(organisation, page_size=size))
    members.begin([segment])
    found = ids_of(members, segment)
    included = {each for kind, ids in given_groups.values() if kind == "Include" for each in ids}
    excluded = {each for kind, ids in given_groups.values() if kind == "Exclude" for each in ids}
    assert len(found) == len(set(found))
    assert set(found) == included - excluded


def test_broken_groups():
    organisation = Asked(None)
    row = {"msdynmkt_segmentdefinitionid": contact(8), "msdynmkt_staticlistmembers": "[{]"}
    organisation.page = lambda *_: page_of(row)
    segment = Segment("x", "journeys", kind="static", definition=contact(8))
    members = JourneysMembers(ContactColumns(organisation))
    members.begin([segment])
    with pytest.raises(ServiceError, match="groups"):
        ids_of(members, segment)


def test_a_group_that_repeats_itself():
    with pytest.raises(ServiceError, match="repeats a page"):
        list(
            JourneysMembers(ContactColumns(Asked(lambda _body: {"entityIds": [contact(1)]}), page_size=1))._group(
                NEW, journeys._Group(contact(2))
            )
        )


@pytest.mark.parametrize(("members", "most"), [(None, 2), (LARGE_LIST + 1, 2), (LARGE_LIST, 4)])
def test_large_lists_are_read_two_at_a_time(members, most):
    running, peak = [], []

    def answer(_body):
        running.append(1)
        peak.append(len(running))
        time.sleep(0.02)
        return {"StatusCode": 200, "ResultText": json.dumps({"members": [contact(1)]})}

    reader = JourneysMembers(ContactColumns(Asked(answer)))

    def read_one(_number):
        for _page in reader.pages(replace(NEW, member_count=members)):
            running.pop()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read_one, range(4)))
    assert max(peak) == most


def test_a_group_with_short_pages():
    ids = [contact(number) for number in range(90)]

    def answer(body):
        size = min(body["PageSize"], 25)
        start = (body["PageNo"] - 1) * body["PageSize"]
        return {"Response": json.dumps({"entityIds": ids[start : start + size]})}

    pages = JourneysMembers(ContactColumns(Asked(answer), page_size=30))._group(NEW, journeys._Group(contact(2)))
    assert [each for page in pages for each in page] == ids
