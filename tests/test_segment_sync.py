"""Segments and their members both ways, taps piped into targets: copies are what their owners have."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from uuid import uuid4

import pytest
from crm import members as member_messages
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loyalty import lines
from support import tap_config, target_config

from annex_d365.dataverse.segments.generations import JOURNEYS, OUTBOUND
from annex_d365.errors import ConnectorError, OutageError
from annex_d365.singer.plugin import run
from annex_d365_sandbox.dataverse.marketing.seed import segment_id
from annex_d365_sandbox.sandbox import Sandbox
from tap_annex.tap import TapAnnex
from tap_d365.tap import TapD365
from target_annex.target import TargetAnnex, TargetD365

GENERATIONS = {each.name: each for each in (OUTBOUND, JOURNEYS)}
STREAMS = ("segments", "segment_members", "segment_snapshots")
#: Few members, of whom many leave; some of them are unknown on the other side.
FREELY = {"max_removal_percent": 100, "max_reject_percent": 100}
#: Where the paths of posts end that only read.
READING = ("token", "FetchContactsByQuery", "MembersList", "ListGroupMembers", "search")
CONTACTS = 40
#: Names of the segments that are changed: one whose members are listed, and one with a rule.
LISTED, RULED = "Guests of honour", "Families"
#: Postal codes of the members whom the rule finds, and of those whom it does not.
FOUND, NOT_FOUND = "99999", "10115"


@pytest.fixture(scope="module")
def both_generations():
    with Sandbox(contacts=CONTACTS, segments_api="both", seed=7) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(both_generations, monkeypatch):
    """What is on its way arrives while it is waited for."""
    sandbox = both_generations
    begin(sandbox)
    monkeypatch.setattr("annex_d365.gate.Gate.sleep", lambda _, seconds: sandbox.clock.advance(seconds))
    monkeypatch.setattr("annex_d365.retry.MAX_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("annex_d365.annexcloud.token.Clock.now", lambda _: sandbox.clock.now().timestamp())
    return sandbox


def begin(sandbox):
    """As seeded, and with people whom only one side knows, or both by their e-mail address only."""
    sandbox.control.reset()
    strangers = sorted(
        (row for row in sandbox.organisation.rows("contact") if not row["cr0dd_loyaltyid"]),
        key=lambda row: row["contactid"],
    )
    linked, nobody = strangers[:2]
    sandbox.site.put_members(
        [{"id": "LINKED", "email": linked["emailaddress1"]}, {"id": "NOCONTACT", "email": "nobody@example.net"}]
    )
    sandbox.organisation.update("contact", nobody["contactid"], {"cr0dd_loyaltyid": "NOMEMBER"})
    sandbox.site.segments.put([{"name": LISTED}, {"name": RULED, "rules": {"memberDetails": {"zipCode": [FOUND]}}}])


class Job:
    """A tap piped into a target, round after round.

    Subclasses say which, and what an owner does with its segments: ``move`` gives the listed and the ruled one the
    people that they shall have, by number; ``owned`` and ``copied`` are the members that copies should have, and those
    that they have, by id of the segment.
    """

    target_class = TargetAnnex

    def __init__(self, sandbox, api, directory):
        self.sandbox, self.generation, self.directory = sandbox, GENERATIONS[api], directory
        self.site, self.organisation = sandbox.site, sandbox.organisation
        self.marketing = sandbox.organisation.marketing
        self.rejects = directory / f"{type(self).__name__}.singer"
        self.settings = {
            "ledger_url": f"sqlite:///{directory}/ledger.db",
            "rejects_path": str(self.rejects),
            **FREELY,
        }
        self.state = None

    def read(self):
        """What the tap says, also if it breaks off; and the error."""
        out, error = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True), None
        with contextlib.redirect_stdout(out):
            try:
                self.tap().sync_all()
            except ConnectorError as broken:
                error = broken
        return out.buffer.getvalue().decode(), error

    def write(self, text):
        """Pipe messages into the target, and keep its last STATE, also if it breaks off."""
        out = io.StringIO()
        try:
            with contextlib.redirect_stdout(out):
                self.target_class(config=self.target_config()).listen(io.StringIO(text))
        finally:
            self.keep(out.getvalue())
            self.wait(120)

    def keep(self, printed):
        states = [json.loads(line) for line in printed.splitlines()]
        self.state = states[-1] if states else self.state

    def round(self):
        text, error = self.read()
        assert error is None
        self.write(text)

    def wait(self, seconds):
        self.sandbox.clock.advance(seconds)
        self.marketing.tick()

    def contacts(self):
        """Contacts by member id, where both are there."""
        ids = {member["id"] for member in self.site.members()}
        rows = self.organisation.rows("contact")
        return {row["cr0dd_loyaltyid"]: row["contactid"] for row in rows if row["cr0dd_loyaltyid"] in ids}

    def segments(self):
        """How many there are: in Dynamics 365, in Annex Cloud."""
        return sum(1 for _ in self.organisation.rows(self.generation.logical_name)), len(self.site.segments.all())


class IntoAnnexCloud(Job):
    """Contacts and segments of Dynamics 365, in one pipeline."""

    reading, writing = "FetchContactsByQuery|MembersList", ("/segment/", 1, "PATCH")
    #: Whether all segments are read, or those only that are changed.
    all = False

    def tap(self):
        column = self.generation.columns["name"]
        chosen = {} if self.all else {"filter": f"{column} eq '{LISTED}' or {column} eq '{RULED}'"}
        config = tap_config(self.sandbox, segments_api=self.generation.name, segments=chosen, page_size=20)
        return TapD365(config=config, state=self.state)

    def target_config(self, **more):
        return target_config(self.sandbox, self.directory, **{**self.settings, **more})

    def people(self):
        return sorted(row["contactid"] for row in self.organisation.rows("contact"))

    def common(self):
        """Numbers of people whom both sides know."""
        known = set(self.contacts().values())
        return [number for number, person in enumerate(self.people()) if person in known]

    def move(self, listed, ruled):
        people = self.people()
        for number, person in enumerate(people):
            children = 3 if number in ruled else 0
            if self.organisation.get("contact", person)["numberofchildren"] != children:
                self.organisation.update("contact", person, {"numberofchildren": children, "familystatuscode": 1})
        wanted, there = {people[number] for number in listed}, {*self.marketing.members(self.key(LISTED))}
        joined, left = sorted(wanted - there), sorted(there - wanted)
        if self.generation is OUTBOUND:
            row = self.marketing.segment(LISTED)
            self.marketing.outbound.change_members(row, {"operation": "addByIds", "ids": joined})
            self.marketing.outbound.change_members(row, {"operation": "removeByIds", "ids": left})
        else:
            definition, group = (segment_id(f"journeys/{part}", LISTED) for part in ("definition", "group"))
            self.marketing.memberships.put(definition, joined, self.organisation.tables["contact"], group)
            self.marketing.memberships.take(definition, left, group)
            self.marketing.definitions.changed(definition)
        self.wait(7200)  # rules are evaluated anew each hour

    def key(self, name):
        return segment_id(self.generation.name, name)

    def remove(self, name):
        self.organisation.delete(self.generation.logical_name, self.key(name))

    def owned(self):
        address = self.site.member("LINKED")["email"]
        linked = next(row for row in self.organisation.rows("contact") if row["emailaddress1"] == address)
        members = {contact: member for member, contact in self.contacts().items()} | {linked["contactid"]: "LINKED"}
        return {key: {members[each] for each in self.marketing.members(key) if each in members} for key in self.live()}

    def live(self):
        """Ids of its own segments whose members can be read, and are contacts."""
        of = self.generation
        for row in self.organisation.rows(of.logical_name):
            own = not row[of.origin] and row.get(of.base) != "lead"
            chosen = self.all or row[of.columns["name"]] in {LISTED, RULED}
            if own and chosen and of.statuses[row["statuscode"]] == "live":
                yield row[of.id]

    def copied(self):
        copies = {each["externalId"]: each for each in self.site.segments.all()}
        return {key: {*self.site.segments.members(copies[f"dynamics:{key}"])} for key in self.live()}

    def is_retired(self, name):
        origin = f"dynamics:{self.key(name)}"
        return {each["externalId"]: each["status"] for each in self.site.segments.all()}[origin] == "INACTIVE"


class IntoDynamics(Job):
    """Segments of Annex Cloud; a member whom no contact names is written before."""

    reading, writing = "/eligiblesegment/", ("MembersUpdate|StaticMembers", 1, "POST")
    target_class = TargetD365

    def __init__(self, sandbox, api, directory):
        super().__init__(sandbox, api, directory)
        self.write(lines(member_messages({"id": "LINKED", "email": self.site.member("LINKED")["email"]})))
        assert "LINKED" in self.contacts()

    def tap(self):
        info = self.sandbox.info
        config = {**info["annex"], "ca_bundle": info["ca_bundle"]}
        catalog = TapAnnex(config=dict(config)).catalog_dict
        for entry in catalog["streams"]:
            for each in entry["metadata"]:
                if not each["breadcrumb"]:
                    each["metadata"]["selected"] = entry["tap_stream_id"] in STREAMS
        return TapAnnex(config=config, catalog=catalog, state=self.state)

    def target_config(self, **more):
        sources = {"site_id": self.sandbox.info["annex"]["site_id"], "segments_api": self.generation.name}
        return {**tap_config(self.sandbox), **sources, **self.settings, **more}

    def people(self):
        return sorted(member["id"] for member in self.site.members())

    def common(self):
        """As of the other job."""
        known = self.contacts()
        return [number for number, person in enumerate(self.people()) if person in known]

    def move(self, listed, ruled):
        people = self.people()
        found = {people[number % len(people)] for number in ruled}
        self.change(LISTED, member=[people[number % len(people)] for number in listed], memberUpdate="REPLACE")
        self.site.put_members(
            {**self.site.member(each), "zipCode": FOUND if each in found else NOT_FOUND} for each in people
        )

    def own(self):
        """Its own segments, by id."""
        return {str(each["id"]): each for each in self.site.segments.all() if not each["externalId"]}

    def key(self, name):
        return next(key for key, each in self.own().items() if each["name"] == name)

    def change(self, name, **columns):
        segment = self.own()[self.key(name)]
        mandatory = {column: segment[column] for column in ("name", "fromDate", "toDate")}
        self.site.segments.update(self.key(name), {**mandatory, **columns})

    def remove(self, name):
        """Annex Cloud knows no deletion."""
        self.change(name, status="INACTIVE")

    def live(self):
        return {key: each for key, each in self.own().items() if each["status"] == "ACTIVE"}

    def owned(self):
        contacts = self.contacts()
        return {
            key: {contacts[member] for member in self.site.segments.members(each) if member in contacts}
            for key, each in self.live().items()
        }

    def copies(self):
        """Rows by origin."""
        return {row[self.generation.origin]: row for row in self.organisation.rows(self.generation.logical_name)}

    def origin(self, key):
        return f"annexcloud:{self.sandbox.info['annex']['site_id']}/{key}"

    def copied(self):
        copies = self.copies()
        return {key: {*self.marketing.members(copies[self.origin(key)][self.generation.id])} for key in self.live()}

    def is_retired(self, name):
        return self.generation.statuses[self.copies()[self.origin(self.key(name))]["statuscode"]] == "stopped"


@pytest.fixture(params=GENERATIONS)
def api(request):
    return request.param


@pytest.fixture(params=[IntoAnnexCloud, IntoDynamics])
def kind(request):
    return request.param


@pytest.fixture
def job(kind, sandbox, api, tmp_path):
    return kind(sandbox, api, tmp_path)


people = st.sets(st.integers(0, CONTACTS - 1), max_size=20)


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=st.lists(st.tuples(people, people), min_size=2, max_size=3))
def test_joins_and_leaves_arrive(kind, sandbox, api, tmp_path, rounds):
    begin(sandbox)
    directory = tmp_path / uuid4().hex
    directory.mkdir()
    job = kind(sandbox, api, directory)
    for listed, ruled in rounds:
        job.move(listed, ruled)
        job.round()
        assert job.copied() == job.owned()
        assert {job.key(LISTED), job.key(RULED)} <= {*job.owned()}


def writes(sandbox):
    """(method, path) of requests that change something."""
    return [
        (entry["method"], entry["path"])
        for entry in sandbox.control.log.entries()
        if entry["method"] != "GET" and not entry["path"].endswith(READING)
    ]


def test_five_rounds_of_both_jobs(sandbox, api, tmp_path):
    # A loyalty id that is unknown is tried anew in every round.
    sandbox.site.put_members([{"id": "NOMEMBER", "email": "nomember@example.net"}])
    jobs = [kind(sandbox, api, tmp_path) for kind in (IntoAnnexCloud, IntoDynamics)]
    jobs[0].all = True
    counts = []
    for _ in range(5):
        sandbox.control.log.clear()
        for job in jobs:
            job.round()
        counts.append(jobs[0].segments())
        jobs[0].wait(7200)
    assert counts == [counts[0]] * 5
    for job in jobs:
        assert job.copied() == job.owned()
    assert writes(sandbox) == []


def storm(sandbox, route, after, method=None):
    """Requests on a route, but for the first ones, are answered with 503, or dropped."""
    hit = {"route": route, "method": method, "after": after}
    sandbox.control.faults.add(kind="status", status=503, probability=0.5, **hit)
    sandbox.control.faults.add(kind="drop", **hit)


def before_members(job):
    """How many requests the tap sends before it asks for members."""
    job.sandbox.control.log.clear()
    job.read()
    paths = [entry["path"] for entry in job.sandbox.control.log.entries() if "/api/" in entry["path"]]
    return next(number for number, path in enumerate(paths) if re.search(job.reading, path))


@pytest.mark.parametrize("at", ["tap", "target"])
def test_an_outage_in_the_middle_removes_nobody(job, monkeypatch, at):
    monkeypatch.setattr("annex_d365.http.MAX_TRIES", 2)
    common = job.common()
    job.move(common[:8], common[4:12])
    job.round()
    before = job.copied()
    job.move(common[4:14], common[:8])
    storm(job.sandbox, *(("/api/", before_members(job) + 1) if at == "tap" else job.writing))
    text, error = job.read()
    if at == "tap":
        assert isinstance(error, OutageError)
        job.sandbox.control.faults.clear()
        job.write(text)
    else:
        assert error is None
        with pytest.raises(OutageError):
            job.write(text)
        job.sandbox.control.faults.clear()
    after, owned = job.copied(), job.owned()
    assert after != owned
    assert all(before[key] <= members or members == owned[key] for key, members in after.items())
    job.move(common[6:15], common[2:9])  # some whom the broken round has added leave
    job.round()
    assert job.copied() == job.owned()


def test_a_segment_that_is_removed_at_its_owner(job):
    job.round()
    assert not job.is_retired(LISTED)
    job.remove(LISTED)
    job.round()
    assert job.is_retired(LISTED)
    job.round()
    assert job.is_retired(LISTED)


def test_who_becomes_known_later_joins(job):
    """Though the segment has not changed since."""
    job.move(range(CONTACTS), ())
    job.round()
    before = job.copied()
    if isinstance(job, IntoAnnexCloud):
        job.site.put_members([{"id": "NOMEMBER", "email": "nomember@example.net"}])
    else:
        job.organisation.create("contact", {"lastname": "New", "cr0dd_loyaltyid": "NOCONTACT"})
    job.round()
    assert len(job.copied()[job.key(LISTED)]) == len(before[job.key(LISTED)]) + 1
    assert job.copied() == job.owned()
    job.sandbox.control.log.clear()
    job.round()
    assert writes(job.sandbox) == []


def test_too_many_who_leave(job, monkeypatch, tmp_path):
    common = job.common()
    job.move(common[:10], ())
    job.round()
    before = job.copied()[job.key(LISTED)]
    job.move(common[5:11], ())
    text, error = job.read()
    assert error is None
    config, records = tmp_path / "config.json", tmp_path / "records.singer"
    config.write_text(json.dumps(job.target_config(max_removal_percent=20)))
    records.write_text(text)
    monkeypatch.setattr(sys, "argv", ["target", "--config", str(config), "--input", str(records)])
    out = io.StringIO()
    with records.open() as rest, contextlib.redirect_stdout(out):
        monkeypatch.setattr(sys, "stdin", rest)
        with pytest.raises(SystemExit) as end:
            run(job.target_class)
    assert end.value.code == 1
    job.keep(out.getvalue())
    job.wait(120)
    joined = job.owned()[job.key(LISTED)] - before
    assert job.copied()[job.key(LISTED)] == before | joined
    rejected = job.rejects.read_text()
    job.rejects.unlink()
    job.write(rejected)
    assert job.copied() == job.owned()
