"""Members of a loyalty programme (Annex page 5)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from decimal import Decimal
from functools import partial
from typing import Any

from annex_d365.annexcloud.bulk import Bulk, Item
from annex_d365.annexcloud.client import AnnexCloud
from annex_d365.annexcloud.errors import not_found, not_understood
from annex_d365.annexcloud.fields import OPT_IN, OPT_IN_DATE, moment, plain
from annex_d365.annexcloud.merges import Merges
from annex_d365.errors import RepeatedError, RowError
from annex_d365.frozen import frozen

CONFLICT = 409

#: Site-defined fields of a member live in an object of this name (Annex page 5.1).
EXTENDED = "extendedAttribute"
#: What the service says of a member, and takes from nobody (Annex page 5.2).
_TOLD = frozenset({"siteId", "createDate", "updateDate", "activityBasedStatus", "totalSpendCurrency"})


@frozen
class Member:
    """A member as the service gave it.

    Attributes:
        id: the member id, an opaque text.
        fields: by API name; numbers may be numbers or texts.
    """

    id: str
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def value(self, name: str) -> Any:
        """A field by name, ``extendedAttribute.shoeSize`` for one of the site's own; None when it is missing."""
        outer, _, inner = name.partition(".")
        value = self.fields.get(outer)
        if not inner:
            return value
        return value.get(inner) if isinstance(value, Mapping) else None

    @property
    def updated(self) -> dt.datetime | None:
        """When it last changed (Annex page 5.2), to the second; None when that is not known."""
        try:
            return moment(str(self.fields.get("updateDate")))
        except ValueError:
            return None


class Members:
    """Read and write members. Safe for threads.

    Args:
        service: of the site.
        patch_replaces: a PATCH empties the fields that it leaves out, so that a member is read before it is changed,
            and sent whole. ASSUMPTION: it leaves them alone (Annex page 5.3).
    """

    def __init__(self, service: AnnexCloud, *, patch_replaces: bool = False) -> None:
        self._service, self._patch_replaces = service, patch_replaces
        self._merges = Merges(service)
        self._creations = Bulk(service, "bulkpostusers", "POST /users")
        self._updates = Bulk(service, "bulkpatchusers", "PATCH /users/{id}")

    def get(self, member_id: str) -> Member | None:
        """The member with this id, or None."""
        try:
            body = self._service.get("users", member_id)
        except RowError as error:
            if not_found(error):
                return None
            raise
        if not isinstance(body, Mapping):
            raise not_understood("GET /users/{id}")
        # A site may let an e-mail address stand for the id (Annex page 5.2): the answer names the real one.
        return Member(_text(body.get("id")) or member_id, body)

    def find_by_email(self, address: str) -> list[Member]:
        """Members with exactly this e-mail address, in any case of letters; the service returns at most 50."""
        try:
            body = self._service.post("users/search", {"dataSearch": {"email": address}}, repeatable=True)
        except RowError as error:
            if not_found(error):
                return []
            raise
        found = {_text(each.get("id")): each for each in records(body)}
        return [
            Member(member_id, each)
            for member_id, each in found.items()
            # `%` and `_` may stand for other signs (Annex page 5.4).
            if member_id and _text(each.get("email") or address).casefold() == address.casefold()
        ]

    def create(self, member_id: str, fields: Mapping[str, str]) -> None:
        """Enrol a member.

        Sent again after a lost reply: the service then says 409 (Annex page 5.1), as for any member that exists.

        Raises:
            RowError: 409 if there is such a member; 400 for a field that is not valid.
            RepeatedError: 409 likewise, but it may be we who created it.
        """
        self._service.post("users", _creation(member_id, fields), repeatable=True)

    def update(self, member: Member, fields: Mapping[str, str]) -> None:
        """Change these fields of a member, and no others.

        Raises:
            RowError: 404 if there is no such member; 400 for a field that is not valid.
        """
        body = _changes(member, fields)
        if self._patch_replaces:
            # Read now, and not earlier: what others have changed since would be undone.
            body = whole(self._service.get("users", member.id), body)
        self._service.patch("users", member.id, body)

    @property
    def creations_per_call(self) -> int:
        """How many :meth:`create_many` should be given: one, once the service has refused bulk calls."""
        return self._creations.limit

    @property
    def updates_per_call(self) -> int:
        """How many :meth:`update_many` should be given."""
        return 1 if self._patch_replaces else self._updates.limit

    def create_many(self, requests: Sequence[tuple[str, Mapping[str, str]]]) -> list[RowError | None]:
        """Enrol members, by one call if that works.

        Args:
            requests: what :meth:`create` takes; at most :data:`~annex_d365.annexcloud.bulk.BULK_LIMIT`.

        Returns:
            For each request None, or what :meth:`create` would raise.

        Raises:
            ValueError: too many requests, or two with the same id.
            ConnectorError: other than for a row.
        """
        return self._creations.send(
            [
                Item(member_id, _creation(member_id, fields), partial(self.create, member_id, fields))
                for member_id, fields in requests
            ]
        )

    def update_many(self, requests: Sequence[tuple[Member, Mapping[str, str]]]) -> list[RowError | None]:
        """Change members, by one call if that works.

        Args:
            requests: what :meth:`update` takes; at most :data:`~annex_d365.annexcloud.bulk.BULK_LIMIT`.

        Returns:
            For each request None, or what :meth:`update` would raise.

        Raises:
            ValueError: too many requests, or two for the same member.
            ConnectorError: other than for a row.
        """
        if self._patch_replaces:
            return [self._updated(*each) for each in requests]
        return self._updates.send(
            [
                Item(member.id, _changes(member, fields), partial(self.update, member, fields))
                for member, fields in requests
            ]
        )

    def _updated(self, member: Member, fields: Mapping[str, str]) -> RowError | None:
        try:
            self.update(member, fields)
        except RowError as error:
            return error
        return None

    def delete(self, member_id: str, requested_by: str) -> bool:
        """Ask for a member's deletion, which may be carried out much later (Annex page 5.6).

        Args:
            member_id: who is to be deleted.
            requested_by: e-mail address of whoever wants it.

        Returns:
            False if there was nothing to do: there is no such member, or its deletion had been asked for before.

        Raises:
            RowError: refused for another reason.
        """
        try:
            self._service.post("userdelete", {"id": member_id, "requestedBy": requested_by}, repeatable=True)
        except RowError as error:
            # ASSUMPTION: 409 for a deletion that waits for its time (Annex page 5.6).
            if not (not_found(error) or error.status == CONFLICT):
                raise
            # It may be we who asked.
            return isinstance(error, RepeatedError)
        return True

    def merged_into(self, member_id: str) -> str | None:
        """The id of the member that this one was merged into; None if no merge of it is known.

        Merges of the other one are followed. If the service does not tell about merges, a warning says so once.

        Raises:
            RowError: the service does not accept this id.
        """
        return self._merges.into(member_id)


def _creation(member_id: str, fields: Mapping[str, str]) -> dict[str, Any]:
    return {"id": member_id, **nested(fields)}


def _changes(member: Member, fields: Mapping[str, str]) -> dict[str, Any]:
    body = nested(fields)
    if EXTENDED in body:
        # ASSUMPTION (Annex page 5.3): merged. Should the object be replaced instead, the others are still there.
        others = member.fields.get(EXTENDED)
        body[EXTENDED] = {**(others if isinstance(others, Mapping) else {}), **body[EXTENDED]}
    # The vendor's own client repeats the id in the body (Annex page 5.3).
    return {"id": member.id, **body}


def whole(shown: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a PATCH that names all fields of a member: as they are shown, unless they are to be changed.

    A field without a value is left out, which is as good as naming it. So is the day of an opt-in that is new.

    Raises:
        ServiceError: the member is not shown as an object.
    """
    if not isinstance(shown, Mapping):
        raise not_understood("GET /users/{id}")
    kept: dict[str, Any] = {
        # Numbers are texts in requests (Annex page 5.1), and may be either in answers (3).
        name: plain(value) if isinstance(value, (int, Decimal)) else value
        for name, value in shown.items()
        if name not in _TOLD and value not in (None, "")
    }
    if OPT_IN in changes and changes[OPT_IN] != kept.get(OPT_IN):
        kept.pop(OPT_IN_DATE, None)
    attributes = {**(kept.pop(EXTENDED, None) or {}), **(changes.get(EXTENDED) or {})}
    return {**kept, **changes, **({EXTENDED: attributes} if attributes else {})}


def nested(fields: Mapping[str, str]) -> dict[str, Any]:
    """``{"extendedAttribute.a": "b"}`` -> ``{"extendedAttribute": {"a": "b"}}``."""
    body: dict[str, Any] = {}
    for name, value in fields.items():
        outer, _, inner = name.partition(".")
        if inner:
            body.setdefault(outer, {})[inner] = value
        else:
            body[outer] = value
    return body


def records(body: Any) -> Iterator[Mapping[str, Any]]:
    """The members in the answer to a search, whose shape is unknown (Annex page 5.4): the objects that have an id."""
    if isinstance(body, list):
        for each in body:
            yield from records(each)
    elif not isinstance(body, Mapping):
        raise not_understood("POST /users/search")
    elif "id" in body:
        yield body
    else:
        for value in body.values():
            if isinstance(value, (list, Mapping)):
                yield from records(value)


def _text(value: Any) -> str:
    return "" if value is None else str(value)
