"""What of a row is to be written to a member that is there: by the member where it is read, else by the ledger."""

from __future__ import annotations

from collections.abc import Mapping

from annex_d365.annexcloud.fields import OPT_IN, OPT_IN_DATE, YES, same, to_field
from annex_d365.annexcloud.members import Member
from annex_d365.dataverse.writes import guid_for
from annex_d365.fields import comparable
from annex_d365.frozen import frozen
from annex_d365.ledger import changed
from target_annex.mapping import MemberMapping
from target_annex.member_settings import MemberRules
from target_annex.ownership import Ownership, Verdict, verdict
from target_annex.tasks import Task

#: The stream of tap-annex by which members become contacts.
_MEMBERS = "members"
#: A GUID as a text, and where it says how it was made.
_GUID_LENGTH, _VERSION_PLACE = 36, 14


@frozen
class Changes:
    """What is to be written for a row.

    Attributes:
        fields: that are written.
        opt_in_withheld: the row would opt in a member who is out.
        conflicts: fields that both sides have changed.
    """

    fields: Mapping[str, str]
    opt_in_withheld: bool
    conflicts: frozenset[str]


class Differences:
    """Compares rows with their members.

    Args:
        mapping: of the stream.
        rules: the settings.
        ownership: what is done about fields that both sides have changed.
    """

    def __init__(self, mapping: MemberMapping, rules: MemberRules, ownership: Ownership) -> None:
        self._mapping, self._rules, self._ownership = mapping, rules, ownership

    def of(self, task: Task) -> Changes:
        """What is to be written."""
        member, fields, conflicts = task.member, self.said(task), frozenset[str]()
        if member and member.fields:
            verdicts = {
                name: verdict(name, self._text(name, fields[name]), self._there(name, member), self._known(task))
                for name in fields.keys() & self._mapping.sides.both
            }
            conflicts = frozenset(name for name, each in verdicts.items() if each is Verdict.CONFLICT)
            fields = {
                name: value
                for name, value in fields.items()
                if (
                    self._ownership.writes(verdicts[name])
                    if name in verdicts
                    else not same(name, value, member.value(name))
                )
            }
        elif known := self._known(task):
            by_ledger = self._rules.skip_unchanged == "ledger"
            texts = {
                name: text for name, text in self.texts(fields).items() if by_ledger or name in self._mapping.sides.both
            }
            news = changed(texts, known)
            fields = {name: value for name, value in fields.items() if name not in texts or name in news}
        withheld = fields.get(OPT_IN) == YES and not self._rules.reopt_in
        if withheld:
            fields = {name: value for name, value in fields.items() if name not in {OPT_IN, OPT_IN_DATE}}
        # Of an unread member it is not known.
        return Changes(fields, withheld and member is not None and bool(member.fields), conflicts)

    def must_compare(self, task: Task) -> bool:
        """Whether the member has to be read, because both sides may have changed it, or because we know it to be equal.

        A contact that was made of a member, as its GUID tells, mostly is as it was made.
        """
        contact = task.contact
        made = len(contact.key) == _GUID_LENGTH and contact.key[_VERSION_PLACE] == "5"  # others need no digest
        if task.entry is None and contact.member_id and made and contact.key == guid_for(_MEMBERS, contact.member_id):
            return True
        both = self._mapping.sides.both
        if not both:
            return False
        said = self.said(task)
        texts = self.texts({name: said[name] for name in both if name in said})
        return bool(changed(texts, self._known(task))) if texts else False

    def doubtful(self, task: Task) -> frozenset[str]:
        """Fields that were not written though the row says them, so that the member may have them or not."""
        withheld = self.said(task).get(OPT_IN) == YES and not self._rules.reopt_in
        # Of those that both sides may change, the ledger keeps what the row has said.
        return frozenset({OPT_IN, OPT_IN_DATE} - self._mapping.sides.both.keys()) if withheld else frozenset()

    def said(self, task: Task) -> Mapping[str, str]:
        """What the row says of a member that is there. An empty column says nothing, unless `clear_nulls`."""
        if task.said is None:
            clear, filled = self._mapping.clear_nulls, self._mapping.sides.filled
            task.said = {
                name: value
                for name, value in task.contact.fields.items()
                if name not in filled and (value or (clear and name != OPT_IN))
            }
        return task.said

    @staticmethod
    def _known(task: Task) -> bytes:
        """Digests of what was last written for the row."""
        return task.entry.digests if task.entry and task.link and task.held else b""

    def texts(self, fields: Mapping[str, str]) -> dict[str, str]:
        """Fields as the ledger digests them."""
        both = self._mapping.sides.both
        return {**fields, **{name: self._text(name, fields[name]) for name in both if name in fields}}

    def _text(self, name: str, value: str) -> str:
        form = self._mapping.sides.both.get(name)
        return comparable(form, value) if form else value

    def _there(self, name: str, member: Member) -> str:
        """What the member has, in the form that can be compared."""
        try:
            value = to_field(name, member.value(name))
        except ValueError:  # nothing that we could have written
            value = str(member.value(name))
        return self._text(name, value)
