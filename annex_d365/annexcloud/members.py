"""Members of a loyalty programme (Annex page 5)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from annex_d365.annexcloud.client import AnnexCloud
from annex_d365.annexcloud.errors import NO_DATA
from annex_d365.annexcloud.fields import moment
from annex_d365.errors import RowError, ServiceError

NOT_FOUND = 404
CONFLICT = 409

#: Site-defined fields of a member live in an object of this name (Annex page 5.1).
EXTENDED = "extendedAttribute"


@dataclass(frozen=True)
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
    """Read and write members, one request each."""

    def __init__(self, service: AnnexCloud) -> None:
        self._service = service

    def get(self, member_id: str) -> Member | None:
        """The member with this id, or None."""
        try:
            body = self._service.get("users", member_id)
        except RowError as error:
            if _not_found(error):
                return None
            raise
        if not isinstance(body, Mapping):
            raise _not_understood("GET /users/{id}")
        # A site may let an e-mail address stand for the id (Annex page 5.2): the answer names the real one.
        return Member(_text(body.get("id")) or member_id, body)

    def find_by_email(self, address: str) -> list[Member]:
        """Members with exactly this e-mail address, in any case of letters; the service returns at most 50."""
        try:
            body = self._service.post("users/search", {"dataSearch": {"email": address}}, repeatable=True)
        except RowError as error:
            if _not_found(error):
                return []
            raise
        found = {_text(each.get("id")): each for each in _records(body)}
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
        self._service.post("users", {"id": member_id, **nested(fields)}, repeatable=True)

    def update(self, member: Member, fields: Mapping[str, str]) -> None:
        """Change these fields of a member, and no others.

        Raises:
            RowError: 404 if there is no such member; 400 for a field that is not valid.
        """
        body = nested(fields)
        if EXTENDED in body:
            # ASSUMPTION (Annex page 5.3): merged. Should the object be replaced instead, the others are still there.
            others = member.fields.get(EXTENDED)
            body[EXTENDED] = {**(others if isinstance(others, Mapping) else {}), **body[EXTENDED]}
        # The vendor's own client repeats the id in the body (Annex page 5.3).
        self._service.patch("users", member.id, {"id": member.id, **body})


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


def _records(body: Any) -> Iterator[Mapping[str, Any]]:
    """The members in the answer to a search, whose shape is unknown (Annex page 5.4): the objects that have an id."""
    if isinstance(body, list):
        for each in body:
            yield from _records(each)
    elif not isinstance(body, Mapping):
        raise _not_understood("POST /users/search")
    elif "id" in body:
        yield body
    else:
        for value in body.values():
            if isinstance(value, (list, Mapping)):
                yield from _records(value)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _not_found(error: RowError) -> bool:
    """AC1005 comes with 404 or 400 (Annex page 3)."""
    return error.status == NOT_FOUND or error.code == NO_DATA


def _not_understood(route: str) -> ServiceError:
    return ServiceError(f"Annex Cloud's answer to {route} is of no known shape.", status=200)
