"""A row on its way to becoming a member."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from annex_d365.annexcloud.members import Member
from annex_d365.errors import RowError
from annex_d365.ledger import Entry, State, changed, digest, fold, merged, value_digest, without
from annex_d365.singer.rows import Row, shown
from target_annex.mapping import Contact
from target_annex.report import Outcome, Result

#: The code of rows that were rejected because another row has their member.
LINKED = "LINKED"

EMAIL = "email"
#: Beside them, too: the address without regard to its case.
_ADDRESS = "email folded"

#: In the ledger beside the fields: the member id that the row named.
_ID = "id"

#: A row that was linked once goes on to be, also after it was deleted and restored.
_LINKS = frozenset({State.SETTLED, State.DELETED, State.MERGED, State.ERASED})


def place_of(digests: bytes) -> str:
    """Where an e-mail address stands in the ledger, without the address; empty for none.

    Args:
        digests: of the fields of a member with that address.
    """
    address = value_digest(_ADDRESS, digests)
    return f"email:{address}" if address else ""


def name_of(member_id: str) -> str:
    """What a member is called among the things that batches touch; empty for none."""
    return f"member:{fold(member_id)}" if member_id else ""


def address_of(email: str) -> bytes:
    """The digest of what stands for an address; empty for none."""
    return digest({_ADDRESS: email.casefold()}) if email else b""


@dataclass
class Task:
    """One row, what is known of it, and what became of it.

    Attributes:
        row: as it came.
        contact: what it says.
        entry: what the ledger knows of it.
        member: that it is about, as far as is known; without fields when unread.
        look_again: whether the member has to be looked for once more, because other rows came first.
        gone: the member that it was linked to has vanished.
        created: by us, in a request whose reply got lost.
        turns: how often it was tried.
        conflicts: fields that both sides have changed.
        said: what the row says of a member that is there, once that has been asked for.
        result: once it is done.
        remember: what the ledger shall know of it from now on, or None to leave that as it is.
    """

    row: Row
    contact: Contact
    entry: Entry | None = None
    member: Member | None = None
    look_again: bool = False
    gone: bool = False
    created: bool = False
    turns: int = 0
    conflicts: Collection[str] = ()
    said: Mapping[str, str] | None = field(default=None, repr=False)
    result: Result | None = None
    remember: Entry | None = field(default=None, repr=False)
    _address: bytes | None = field(default=None, init=False, repr=False)

    @property
    def link(self) -> str:
        """The member id that the ledger has for the row; empty if none, or if the row names another one by now."""
        entry, member_id = self.entry, self.contact.member_id
        if entry is None or entry.state not in _LINKS:
            return ""
        if not member_id or fold(member_id) == fold(entry.target) or not changed({_ID: member_id}, entry.digests):
            return entry.target
        return ""

    @property
    def known_id(self) -> str:
        """The member id by ledger or row; empty if only its e-mail address tells."""
        return self.link or self.contact.member_id

    @property
    def names(self) -> set[str]:
        """Of all that it may touch: itself, members and e-mail addresses, as it says and as the ledger knows."""
        names = {f"row:{self.contact.key}", name_of(self.contact.member_id), place_of(self.address)}
        if self.entry:
            names |= {name_of(self.entry.target), place_of(self.entry.digests)}
        return names - {""}

    @property
    def address(self) -> bytes:
        """The digest of what stands for its e-mail address; empty for none."""
        if self._address is None:
            self._address = address_of(self.contact.email)
        return self._address

    @property
    def held(self) -> bool:
        """Whether the row had its member before this batch."""
        return self.entry is not None and self.entry.state is State.SETTLED

    def done(
        self,
        outcome: Outcome,
        fields: Mapping[str, str],
        *,
        forget: Collection[str] = (),
        opt_in_withheld: bool = False,
    ) -> None:
        """The member has these fields now; ``forget`` are fields that may differ from what was written once.

        The contact's address is remembered in any case: it says whose member this is.
        """
        assert self.member
        if self.created and outcome in {Outcome.UPDATED, Outcome.UNCHANGED}:
            outcome = Outcome.CREATED
        self.result = Result(outcome, opt_in_withheld=opt_in_withheld, conflicts=len(self.conflicts))
        if outcome is Outcome.UNCHANGED and self.held and self.row.version == (self.entry and self.entry.version) != "":
            return
        old = self.entry.digests if self.entry and fold(self.entry.target) == fold(self.member.id) else b""
        new = digest({**fields, _ID: self.contact.member_id}, self.address)
        self.remember = self._entry(self.member.id, State.SETTLED, merged(without(old, forget), new))

    def end(self, outcome: Outcome, state: State | None = None, forget: Collection[str] = ()) -> None:
        """Nothing more is to be done; ``state`` is for the ledger, and so is ``forget``, as for :meth:`done`."""
        self.result = Result(outcome)
        if state:
            target = self.entry.target if self.entry else ""
            self.remember = self._entry(target, state, without(self.entry.digests, forget) if self.entry else b"")

    def skip(self) -> None:
        """The contact is no member, and shall be none; it is no rival any more, either."""
        self.result = Result(Outcome.NOT_ENROLLED)
        if self.entry and self.entry.state is State.RIVAL:
            self.remember = self._entry("", State.RIVAL, b"")

    @property
    def entries(self) -> list[Entry]:
        """What the ledger shall keep. An erased address has a tombstone, too: it might come by another row."""
        if self.remember is None:
            return []
        place = place_of(self.remember.digests) if self.remember.state is State.ERASED else ""
        return [self.remember, *([replace(self.remember, key=place, target=place, digests=b"")] if place else [])]

    def reject(self, error: RowError) -> None:
        """The row cannot be written."""
        self.result = Result(Outcome.REJECTED, error)

    def lose(self, target: str, holder: str) -> None:
        """Another row has the member. The one that this row may have already, it keeps."""
        self.reject(
            RowError(
                f"rows {shown(holder)} and {shown(self.contact.key)} are the same member; only the former is written",
                code=LINKED,
            )
        )
        if not (self.held and self.entry and fold(self.entry.target) != fold(target)):
            self.remember = self._entry(target, State.RIVAL, b"")

    def _entry(self, target: str, state: State, digests: bytes) -> Entry:
        # How long somebody has been erased counts from the first time.
        erased = state is State.ERASED and self.entry is not None and self.entry.state is State.ERASED
        at = self.entry.at if erased and self.entry else 0.0
        return Entry(self.contact.key, target, state, digests, version=self.row.version, at=at)
