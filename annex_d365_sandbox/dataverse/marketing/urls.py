"""The routes of the actions (Dataverse page 8.3, 8.4, 8.6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from annex_d365_sandbox.dataverse import errors
from annex_d365_sandbox.dataverse.derived import USER_ID
from annex_d365_sandbox.dataverse.marketing.journeys import SEGMENTS
from annex_d365_sandbox.dataverse.marketing.journeys_actions import JourneysActions
from annex_d365_sandbox.dataverse.marketing.models import Marketing
from annex_d365_sandbox.dataverse.marketing.outbound import TABLE
from annex_d365_sandbox.dataverse.marketing.outbound_actions import OutboundActions
from annex_d365_sandbox.wire import Handler, Reply, Request, Route

if TYPE_CHECKING:
    from annex_d365_sandbox.dataverse.models import Organisation

#: Takes the body and the root address; returns the members of the reply, or ``None`` for 204.
Action: TypeAlias = Callable[[Mapping[str, Any], str], "dict[str, Any] | None"]
_JSON = {"Content-Type": "application/json; odata.metadata=minimal"}


def actions(marketing: Marketing) -> dict[str, dict[str, Action]]:
    """All actions by name, under the table of the generation that they belong to."""
    outbound = OutboundActions(marketing.room, marketing.outbound)
    journeys = JourneysActions(marketing.room, marketing.definitions)
    return {
        TABLE: {
            "msdyncrm_FetchContactsByQuery": outbound.fetch_contacts,
            "msdyncrm_SegmentMembersUpdate": outbound.update_members,
            "msdyncrm_ValidateSegment": outbound.validate,
            "msdyncrm_IncludeMemberInSegment": outbound.include,
            "msdyncrm_IncludeMembersInSegment": outbound.include,
            "msdyncrm_ExcludeMemberFromSegment": outbound.exclude,
            "msdyncrm_ExcludeMembersFromSegment": outbound.exclude,
        },
        SEGMENTS: {
            "msdynmkt_AddStaticMembers": journeys.add_members,
            "msdynmkt_RemoveStaticMembers": journeys.remove_members,
            "msdynmkt_ListGroupMembers": journeys.list_group_members,
            "msdynmkt_MembersList": journeys.members_list,
            "msdynmkt_PublishSegmentDefinition": journeys.publish,
            "msdynmkt_StopSegments": journeys.stop,
        },
    }


def routes(root: str, organisation: Organisation) -> list[Route]:
    """The routes below ``root``, a regular expression with the group ``version``."""
    marketing = organisation.marketing
    return [
        Route.of("POST", f"{root}/{name}", _handler(organisation, table, action))
        for table, named in actions(marketing).items()
        for name, action in named.items()
    ]


def _handler(organisation: Organisation, table: str, action: Action) -> Handler:
    """What answers a POST of an action, if its generation is there and not withdrawn (404 is assumed)."""

    def act(request: Request, parts: Mapping[str, str]) -> Reply:
        marketing, at = organisation.marketing, f"{request.origin}/api/data/{parts['version']}"
        gone = table == TABLE and marketing.switches.outbound_withdrawn
        if table not in organisation.tables or gone:
            raise errors.unknown_segment(request.path.rpartition("/")[2])
        for read in ("contact", table):
            if read in organisation.switches.unreadable_tables:
                raise errors.missing_privilege(organisation.tables[read], USER_ID)
        with organisation.store.transaction():
            body = action(_body(request), at)
        if body is None and marketing.switches.unshown_replies == "ok":
            name = request.path.rpartition("/")[2]
            body = {"@odata.context": f"{at}/$metadata#Microsoft.Dynamics.CRM.{name}Response"}
        return Reply(204) if body is None else Reply.json(body, headers=_JSON)

    return act


def _body(request: Request) -> Mapping[str, object]:
    try:
        body = request.json()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.DataverseError(
            400, "0x80048d19", "Invalid JSON. An unexpected end or character was found."
        ) from error
    if not isinstance(body, dict):
        raise _unreadable("A node of type 'StartObject' was expected.")
    return body


def _unreadable(message: str) -> errors.DataverseError:
    return errors.DataverseError(400, "0x80048d19", message)
