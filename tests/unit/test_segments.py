"""Segments of both generations as one shape: words, origins, definitions, versions. Without a service."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest
from segment_pages import ROOT, contact, page_of

from annex_d365.dataverse.client import ETAG
from annex_d365.dataverse.segments.generations import GENERATIONS, JOURNEYS, OUTBOUND
from annex_d365.dataverse.segments.segment import Segments


class Organisation:
    """Answers reads with rows, and remembers the queries."""

    root = ROOT

    def __init__(self, *found, definitions=()):
        self.found, self.definitions, self.queries, self.asked = found, definitions, [], []

    def rows(self, query):
        self.queries.append(query)
        return iter(self.found)

    def page(self, url, _size, _annotations=""):
        self.asked.append(url)
        return page_of(*self.definitions)

    row = staticmethod(msgspec.json.decode)


def table(generation, *missing):
    names = {*generation.columns.values(), generation.origin, generation.base} - {*missing}
    return SimpleNamespace(columns=dict.fromkeys(names))


def only(generation, row, *missing, definitions=(), **options):
    organisation = Organisation({generation.id: contact(1), **row}, definitions=definitions)
    (segment,) = Segments(organisation, generation, table(generation, *missing), **options).read()
    return segment


@pytest.mark.parametrize("generation", GENERATIONS)
def test_each_option_value_has_its_word(generation):
    for column, words, attribute in (
        ("kind_value", generation.kinds, "kind"),
        ("status_value", generation.statuses, "status"),
    ):
        for value, word in {**words, 77: "other", None: "other"}.items():
            segment = only(generation, {generation.columns[column]: value})
            assert (getattr(segment, attribute), getattr(segment, column)) == (word, value)


@pytest.mark.parametrize(
    ("generation", "value", "word"),
    [(OUTBOUND, 192350003, "live"), (OUTBOUND, 192350007, "stopping"), (JOURNEYS, 1, "live"), (JOURNEYS, 4, "deleted")],
)
def test_words_are_those_of_the_page(generation, value, word):
    assert only(generation, {"statuscode": value}).status == word


@pytest.mark.parametrize("generation", GENERATIONS)
def test_origin(generation):
    assert only(generation, {generation.origin: "annexcloud:90365/551"}).origin == "annexcloud:90365/551"
    assert only(generation, {generation.origin: "https://example.com"}).origin == "dynamics"
    assert only(generation, {generation.origin: "annexcloud:1/2"}, generation.origin).origin == "dynamics"
    assert only(generation, {generation.columns["name"]: "annexcloud:1/2"}, origin_column=generation.columns["name"])


def test_a_column_that_the_organisation_lacks_is_not_asked_for():
    organisation = Organisation()
    list(Segments(organisation, OUTBOUND, table(OUTBOUND, "msdyncrm_scope")).read("a eq 1"))
    (query,) = organisation.queries
    assert "msdyncrm_scope" not in query.select
    assert (query.filter, query.orderby) == ("a eq 1", ("modifiedon", OUTBOUND.id))


def test_journeys_keep_queries_in_definitions():
    definition = contact(9)
    row = {"msdynmkt_type": 11, "msdynmkt_sourcesegmentuid": definition.upper()}
    found = [{"msdynmkt_segmentdefinitionid": definition, "msdynmkt_segmentquery": "PROFILE(contact)"}]
    assert only(JOURNEYS, row, definitions=found).query == "PROFILE(contact)"
    assert only(JOURNEYS, {**row, "msdynmkt_type": 10}, definitions=found).query is None


def test_sources_of_other_services_are_no_definitions():
    row = {"msdynmkt_type": 11, "msdynmkt_sourcesegmentuid": "HighValueCustomers_2026"}
    organisation = Organisation({JOURNEYS.id: contact(1), **row})
    (segment,) = Segments(organisation, JOURNEYS, table(JOURNEYS)).read()
    assert (segment.definition, segment.query, organisation.asked) == (None, None, [])


def test_times_and_versions():
    row = {"modifiedon": "2026-01-02T00:00:00.123+01:00", "msdyncrm_lastevaluationtime": None, ETAG: 'W/"7"'}
    segment = only(OUTBOUND, row)
    assert (segment.modified_on, segment.changed_on, segment.version) == (*["2026-01-01T23:00:00Z"] * 2, 'W/"7"')
