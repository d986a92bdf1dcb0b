"""What loyalty data needs in Dynamics 365: columns of the contact, and a table of activities.

One list each: the target's presets fill the columns, ``annex-d365 provision`` makes them where they are missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from annex_d365.dataverse.writes.specs import ColumnSpec, KeySpec, TableSpec

#: The prefix of the integration document's table.
DEFAULT_PREFIX = "cr0dd_"

CONTACT, ACTIVITY = "contact", "loyaltyactivity"


@dataclass(frozen=True)
class LoyaltyColumn:
    """A column that takes a field of Annex Cloud.

    Attributes:
        name: in the table; without the publisher's prefix, unless it is a standard column.
        sources: names of the field in streams of tap-annex; the first that a stream has counts.
        label: for people.
        type: as in :class:`~annex_d365.dataverse.writes.specs.ColumnSpec`; empty for a standard column.
        max_length: of a text.
        target: of a lookup, the table that it leads to.
    """

    name: str
    sources: tuple[str, ...]
    label: str = ""
    type: str = ""
    max_length: int = 100
    target: str = ""

    def column(self, prefix: str) -> str:
        """Its name in the table."""
        return f"{prefix}{self.name}" if self.type else self.name


#: An alternate key of contacts: each has one loyalty id.
MEMBER_ID = LoyaltyColumn("loyaltyid", ("id",), "Loyalty Id", "String")
_ACTIVITY_ID = LoyaltyColumn("activityid", ("activityId",), "Activity Id", "String")

#: The loyalty fields of the vendor's feature document, in its order (Annex page 13.2); where they come from is
#: ASSUMPTION there. Consent columns of the contact (`donotbulkemail`, ...) are none of them (Annex page 14).
CONTACT_COLUMNS: tuple[LoyaltyColumn, ...] = (
    MEMBER_ID,
    LoyaltyColumn("firstname", ("firstName",)),
    LoyaltyColumn("lastname", ("lastName",)),
    LoyaltyColumn("emailaddress1", ("email",)),
    LoyaltyColumn("loyaltystatus", ("status",), "Loyalty Status", "String"),
    LoyaltyColumn("birthdate", ("birthDate",)),
    LoyaltyColumn("loyaltyanniversary", ("anniversaryDate",), "Loyalty Anniversary", "Date"),
    LoyaltyColumn("mobilephone", ("phone",)),
    LoyaltyColumn("address1_postalcode", ("zipCode",)),
    LoyaltyColumn("optinstatus", ("optInStatus",), "Opt-in Status", "String"),
    LoyaltyColumn("optindate", ("optInDate",), "Opt-in Date", "DateTime"),
    LoyaltyColumn("availablepoints", ("availablePoints",), "Available Points", "Decimal"),
    LoyaltyColumn("earnedpoints", ("lifetimePoints",), "Earned Points", "Decimal"),
    LoyaltyColumn("usedpoints", ("usedPoints",), "Used Points", "Decimal"),
    LoyaltyColumn("holdpoints", ("holdPoints",), "Hold Points", "Decimal"),
    LoyaltyColumn("nextexpiringpoints", ("pointsToExpire",), "Next Expiring Points", "Decimal"),
    LoyaltyColumn("pointsexpirationdate", ("pointsToExpireDate",), "Points Expiration Date", "DateTime"),
    LoyaltyColumn("expiredpoints", ("expiredPoints",), "Expired Points", "Decimal"),
    LoyaltyColumn("currenttier", ("currentTier",), "Current Tier", "String"),
    LoyaltyColumn("nexttier", ("nextTier",), "Next Tier", "String"),
    LoyaltyColumn("pointsfornexttier", ("pointsToNextTier",), "Points For Next Tier", "Decimal"),
    LoyaltyColumn("tierachievedate", ("tierAchieveDate",), "Tier Achieve Date", "DateTime"),
    LoyaltyColumn("availablerewards", ("availableRewards",), "Available Rewards", "Memo", 4000),
)

#: Fields of an activity (Annex page 6). The member's id is not among them: the tap adds it.
ACTIVITY_COLUMNS: tuple[LoyaltyColumn, ...] = (
    LoyaltyColumn("name", ("displayText",), "Name", "String"),
    _ACTIVITY_ID,
    LoyaltyColumn("loyaltyid", ("member_id", "memberId"), "Loyalty Id", "String"),
    LoyaltyColumn("activitytype", ("activity",), "Activity Type", "String"),
    LoyaltyColumn("activitydate", ("createDate",), "Activity Date", "DateTime"),
    LoyaltyColumn("points", ("points",), "Points", "Integer"),
    LoyaltyColumn("credit", ("credit",), "Credit", "Decimal"),
    LoyaltyColumn("debit", ("debit",), "Debit", "Decimal"),
    LoyaltyColumn("actionid", ("actionId",), "Action Id", "String"),
    LoyaltyColumn("pointtype", ("pointType",), "Point Type", "String"),
    LoyaltyColumn("pointstatus", ("pointStatus",), "Point Status", "String"),
    LoyaltyColumn("reason", ("reason",), "Reason", "String", 1000),
    LoyaltyColumn("orderid", ("orderId",), "Order Id", "String"),
    LoyaltyColumn("rewardid", ("rewardId",), "Reward Id", "String"),
    LoyaltyColumn("rewardcode", ("rewardCode",), "Reward Code", "String"),
    LoyaltyColumn("expiredate", ("expireDate",), "Expire Date", "DateTime"),
    # Not filled by the preset: an activity whose member is no contact would be refused.
    LoyaltyColumn("contact", (), "Contact", "Lookup", target=CONTACT),
)


def loyalty_tables(prefix: str = DEFAULT_PREFIX, solution: str = "") -> list[TableSpec]:
    """The tables that the presets fill.

    Args:
        prefix: of the publisher, with its underscore.
        solution: unique name of the solution that new things go to; "" for the default one.
    """
    name, *others = ACTIVITY_COLUMNS
    return [
        TableSpec(
            CONTACT,
            columns=_specs(CONTACT_COLUMNS, prefix),
            keys=[_key(prefix, MEMBER_ID)],
            solution=solution,
        ),
        TableSpec(
            f"{prefix}LoyaltyActivity",
            label="Loyalty Activity",
            plural_label="Loyalty Activities",
            primary_name=_spec(name, prefix),
            columns=_specs(others, prefix),
            keys=[_key(prefix, _ACTIVITY_ID)],
            solution=solution,
        ),
    ]


def _specs(columns: Iterable[LoyaltyColumn], prefix: str) -> Sequence[ColumnSpec]:
    return [_spec(column, prefix) for column in columns if column.type]


def _spec(column: LoyaltyColumn, prefix: str) -> ColumnSpec:
    name = _schema_name(column, prefix)
    return ColumnSpec(name, column.label, column.type, column.max_length, target=column.target)


def _key(prefix: str, column: LoyaltyColumn) -> KeySpec:
    return KeySpec(f"{_schema_name(column, prefix)}Key", column.label, (column.column(prefix),))


def _schema_name(column: LoyaltyColumn, prefix: str) -> str:
    """The column's name in the case of its label; the logical name is the same in lower case."""
    label = "".join(sign for sign in column.label.title() if sign.isalnum())
    return f"{prefix}{label if label.lower() == column.name else column.name}"
