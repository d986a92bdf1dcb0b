"""Runs that are killed between a call about a segment's copy and the ledger's write, into both services.

Whoever changes meanwhile, the next run leaves the copy as its segment is.
"""

from __future__ import annotations

import pytest
from marketing import streams
from programme import FREELY, member, segment, snapshot, whole

from annex_d365.errors import ConnectorError, OutageError, RowError
from annex_d365.ledger import Memberships
from target_annex.segments.annex import AnnexSegments
from target_annex.segments.copies import Copies
from target_annex.segments.dynamics import DynamicsSide


class KilledError(BaseException):
    """Nothing is done after it, as after SIGKILL."""


class IntoAnnexCloud:
    """A segment of people, who are numbers, with a copy in Annex Cloud."""

    side = AnnexSegments

    def __init__(self, programme):
        self._programme, self._runs = programme, 0

    def write(self, people, at=None, **config):
        """A run: the segment has these people, and all of them come."""
        self._runs += at is None
        rows = whole(sorted(people), at=at or self._runs)
        self._programme.run(segment(), *rows, **{**FREELY, "max_reject_percent": 100, **config})

    def run(self):
        """A run in which nothing comes."""
        self._programme.run(**FREELY)

    def members(self):
        return self._programme.numbers()

    def copies(self):
        return len(self._programme.segments)

    def become_known(self, number):
        self._programme.site.put(id=f"M{number}", email=f"m{number}@example.org")

    def calls(self):
        return len(self._programme.patches())

    def removed(self):
        return self._programme.reports["segment_snapshots"].members_removed


class IntoDynamics:
    """The same with a copy in Dynamics 365."""

    side = DynamicsSide

    def __init__(self, crm):
        self._crm, self._runs = crm, 0
        self._contacts = sorted(crm.contacts.items())[:9]
        # One of them has no contact yet.
        self._late = self._contacts.pop()
        crm.organisation.update("contact", self._late[1], {"cr0dd_loyaltyid": None})
        self._people = {number: each[0] for number, each in enumerate(self._contacts, 1)} | {999: self._late[0]}
        self._numbers = {each[1]: number for number, each in enumerate(self._contacts, 1)} | {self._late[1]: 999}

    def write(self, people, at=None, **config):
        self._runs += at is None
        said = streams({"550": {self._people[each] for each in people}}, str(at or self._runs))
        self._written(self._crm.write(*said, **{"max_reject_percent": 100, **config}))

    def run(self):
        self._written(self._crm.write(("segment_members", []), ("segment_snapshots", [])))

    def members(self):
        self._crm.wait()
        (target,) = self._crm.copies().values()
        return {self._numbers[each] for each in self._crm.members(target)}

    def copies(self):
        return self._crm.count()

    def become_known(self, number):
        assert number == 999
        self._crm.organisation.update("contact", self._late[1], {"cr0dd_loyaltyid": self._late[0]})

    def calls(self):
        return len(self._crm.sent(path="Members"))

    def removed(self):
        return self._reports["segment_snapshots"].members_removed

    def _written(self, target):
        self._reports = target._reports
        self._crm.wait()


@pytest.fixture(params=["annex_cloud", "outbound", "journeys"])
def into(request):
    """A segment that is copied, into each service."""
    if request.param == "annex_cloud":
        return IntoAnnexCloud(request.getfixturevalue("programme"))
    return IntoDynamics(request.getfixturevalue("crm"))


@pytest.fixture
def api(request):
    """The generation, where there is one."""
    return request.node.callspec.params["into"]


@pytest.fixture
def killed(monkeypatch):
    """Do something that is killed when it calls a method."""

    def kill(owner, name, work, *arguments):
        def stop(*_args, **_more):
            raise KilledError

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, stop)
            with pytest.raises(KilledError):
                work(*arguments)

    return kill


LEFT, STAYED = {1, 2}, {1, 2, 3}


def out_after(monkeypatch, side, name):
    """The service does what it is told, and is out before it says so."""
    call = getattr(side, name)

    def do(self, *args, **more):
        call(self, *args, **more)
        raise OutageError("out")

    monkeypatch.setattr(side, name, do)


@pytest.mark.parametrize("later", [LEFT, STAYED], ids=["left", "stayed"])
def test_a_run_that_is_killed_when_it_has_added(into, killed, later):
    into.write({1, 2})
    killed(Memberships, "seen", into.write, {1, 2, 3})
    assert into.members() == {1, 2, 3}
    into.write(later)
    assert (into.members(), into.removed()) == (later, 3 not in later)
    assert_settled(into, later)


@pytest.mark.parametrize("later", [LEFT, STAYED], ids=["left", "stayed"])
def test_a_service_that_is_out_when_it_has_added(into, monkeypatch, later):
    into.write({1, 2})
    with monkeypatch.context() as patch:
        out_after(patch, into.side, "add")
        with pytest.raises(OutageError):
            into.write({1, 2, 3})
    assert into.members() == {1, 2, 3}
    into.write(later)
    assert_settled(into, later)


@pytest.mark.parametrize("later", [LEFT, STAYED], ids=["left", "came back"])
def test_a_run_that_is_killed_when_it_has_removed(into, killed, later):
    into.write({1, 2, 3})
    killed(Memberships, "forget", into.write, {1, 2})
    assert into.members() == {1, 2}
    into.write(later)
    assert_settled(into, later)


@pytest.mark.parametrize("later", [LEFT, STAYED], ids=["left", "came back"])
def test_a_service_that_is_out_when_it_has_removed(into, monkeypatch, later):
    into.write({1, 2, 3})
    with monkeypatch.context() as patch:
        out_after(patch, into.side, "remove")
        with pytest.raises(OutageError):
            into.write({1, 2})
    assert into.members() == {1, 2}
    into.write(later)
    assert_settled(into, later)


@pytest.mark.parametrize(
    "when", [(Memberships, "learn"), (Copies, "_save"), (Memberships, "seen")], ids=lambda at: at[1]
)
def test_a_run_that_is_killed_when_it_has_made_the_copy(into, killed, when):
    before = into.copies()
    killed(*when, into.write, {1, 3})
    into.write({1, 2})
    assert into.copies() == before + 1
    assert_settled(into, {1, 2})


def test_runs_that_are_killed_one_after_the_other(into, killed):
    into.write({1, 2})
    killed(Memberships, "seen", into.write, {1, 2, 3})
    killed(Memberships, "seen", into.write, {1, 2, 4})
    assert into.members() == {1, 2, 3, 4}
    killed(Memberships, "forget", into.write, {1, 2})
    assert into.members() == {1, 2}
    killed(Memberships, "seen", into.write, {1, 2, 4})
    into.write({1, 2, 3})
    assert_settled(into, {1, 2, 3})


@pytest.mark.parametrize("later", [LEFT, {1, 2, 999}], ids=["left", "stayed"])
def test_a_run_that_is_killed_when_it_has_added_who_became_known(into, killed, later):
    into.write({1, 2, 999})
    into.become_known(999)
    killed(Memberships, "seen", into.run)
    assert into.members() == {1, 2, 999}
    into.write(later)
    assert_settled(into, later)


def test_who_became_known_is_added_by_the_run_after_the_killed_one(into, killed):
    into.write({1, 2, 999})
    into.become_known(999)
    killed(into.side, "add", into.run)
    into.run()
    assert into.members() == {1, 2, 999}


def test_what_a_killed_run_had_is_sent_again_from_an_older_state(into, killed):
    into.write({1, 2})
    killed(Memberships, "seen", into.write, {1, 2, 3})
    for at, people in enumerate(({1, 2}, {1, 2, 3}, {1, 2}), 1):
        into.write(people, at=at)
    assert_settled(into, {1, 2})


@pytest.mark.parametrize("later", [{4}, {2, 3, 4}], ids=["left", "stayed"])
def test_who_was_not_added_is_no_proof_that_members_are_lost(into, killed, later):
    into.write(set())
    killed(into.side, "add", into.write, {2, 3})
    assert into.members() == set()
    into.write(later)
    assert_settled(into, later)


@pytest.mark.parametrize("first", ["killed", "not killed"])
def test_who_is_not_known_is_not_removed(into, killed, first):
    if first == "killed":
        killed(Memberships, "seen", into.write, {1, 999})
    into.write({1, 999})
    assert (into.members(), into.removed()) == ({1}, 0)
    into.write({1})
    assert (into.members(), into.removed()) == ({1}, 0)


@pytest.mark.parametrize("there", [False, True], ids=["not there", "there"])
def test_who_is_refused_leaves_if_he_may_be_there(into, killed, monkeypatch, there):
    def refuse(*_args, **_more):
        raise RowError("refused", status=400)

    into.write({1, 2})
    if there:
        killed(Memberships, "seen", into.write, {1, 2, 3})
    with monkeypatch.context() as patch:
        patch.setattr(into.side, "add", refuse)
        into.write({1, 2, 3})
    assert into.removed() == 0
    into.write({1, 2})
    assert into.removed() == there
    assert_settled(into, {1, 2})


def test_too_many_who_may_be_there_are_not_removed(into, killed):
    into.write({1, 2})
    killed(Memberships, "seen", into.write, {1, 2, 3, 4})
    with pytest.raises(ConnectorError, match="`max_removal_percent`"):
        into.write({1, 2}, max_removal_percent=40)
    assert into.members() == {1, 2, 3, 4}
    into.write({1, 2}, max_removal_percent=50)
    assert_settled(into, {1, 2})


def test_who_may_be_there_and_is_not_told_any_more_is_added_when_he_is(programme, killed):
    programme.run(segment(), *whole([1]))
    killed(AnnexSegments, "add", programme.run, *whole([1, 2], at=2))
    programme.run(member(1, at=3), member(2, at=3, member_id=None), snapshot(2, at=3), **FREELY)
    assert programme.numbers() == {1}
    programme.run(*whole([1, 2], at=4), **FREELY)
    assert programme.numbers() == {1, 2}


def test_what_is_added_is_noted_once_for_all_segments_of_a_batch(programme, monkeypatch):
    noted, doubt = [], Memberships.doubt
    monkeypatch.setattr(Memberships, "doubt", lambda self, members: noted.append(members) or doubt(self, members))
    programme.run(segment(), segment(2), *(member(number, of) for number in (1, 2) for of in (1, 2)))
    assert len(noted) == 1
    programme.run(segment(), segment(2), *(member(number, of, 2) for number in (1, 2) for of in (1, 2)))
    assert len(noted) == 1


def assert_settled(into, people):
    """The copy is as its segment, and another run with the same people writes nothing."""
    assert into.members() == people
    before = into.calls()
    into.write(people)
    assert (into.members(), into.calls()) == (people, before)
