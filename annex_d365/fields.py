"""The fields that Annex Cloud and Dynamics 365 share: which is which, and to which group each one belongs.

One list each: the target's presets fill the columns, `field_owners` says by group which side they follow, and
``annex-d365 provision`` makes them where they are missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from annex_d365.annexcloud.fields import NO, YES, bare_phone, moment, yes_or_no

#: The prefix of the integration document's table.
DEFAULT_PREFIX = "cr0dd_"

CONTACT, ACTIVITY = "contact", "loyaltyactivity"


class Group(str, Enum):
    """Fields with one owner."""

    #: What a contact and its member know each other by.
    LINK = "link"
    IDENTITY = "identity"
    CONSENT = "consent"
    LOYALTY = "loyalty"


class Form(Enum):
    """How texts are compared that two services keep in forms of their own."""

    TEXT = "text"
    EMAIL = "email"
    PHONE = "phone"
    FLAG = "yes or no"
    MOMENT = "moment"


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
        group: of a contact's column.
        form: of its values.
    """

    name: str
    sources: tuple[str, ...]
    label: str = ""
    type: str = ""
    max_length: int = 100
    target: str = ""
    group: Group = Group.LOYALTY
    form: Form = Form.TEXT

    def column(self, prefix: str) -> str:
        """Its name in the table."""
        return f"{prefix}{self.name}" if self.type else self.name

    @property
    def field(self) -> str:
        """Its name in Annex Cloud."""
        return self.sources[0]


#: An alternate key of contacts: each has one loyalty id.
MEMBER_ID = LoyaltyColumn("loyaltyid", ("id",), "Loyalty Id", "String", group=Group.LINK)
ACTIVITY_ID = LoyaltyColumn("activityid", ("activityId",), "Activity Id", "String")

_IDENTITY, _CONSENT = Group.IDENTITY, Group.CONSENT

#: The loyalty fields of the vendor's feature document, in its order (Annex page 13.2); where they come from is
#: ASSUMPTION there. Consent columns of the contact (`donotbulkemail`, ...) are none of them (Annex page 14).
CONTACT_COLUMNS: tuple[LoyaltyColumn, ...] = (
    MEMBER_ID,
    LoyaltyColumn("firstname", ("firstName",), group=_IDENTITY),
    LoyaltyColumn("lastname", ("lastName",), group=_IDENTITY),
    LoyaltyColumn("emailaddress1", ("email",), group=_IDENTITY, form=Form.EMAIL),
    LoyaltyColumn("loyaltystatus", ("status",), "Loyalty Status", "String"),
    LoyaltyColumn("birthdate", ("birthDate",), group=_IDENTITY),
    LoyaltyColumn("loyaltyanniversary", ("anniversaryDate",), "Loyalty Anniversary", "Date"),
    LoyaltyColumn("mobilephone", ("phone",), group=_IDENTITY, form=Form.PHONE),
    LoyaltyColumn("address1_postalcode", ("zipCode",), group=_IDENTITY),
    LoyaltyColumn("optinstatus", ("optInStatus",), "Opt-in Status", "String", group=_CONSENT, form=Form.FLAG),
    LoyaltyColumn("optindate", ("optInDate",), "Opt-in Date", "DateTime", group=_CONSENT, form=Form.MOMENT),
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
    ACTIVITY_ID,
    LoyaltyColumn("loyaltyid", ("member_id", "memberId"), "Loyalty Id", "String"),
    LoyaltyColumn("activitytype", ("activity",), "Activity Type", "String"),
    LoyaltyColumn("activitydate", ("createDate",), "Activity Date", "DateTime"),
    LoyaltyColumn("points", ("points",), "Points", "Decimal"),
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


def comparable(form: Form, text: str) -> str:
    """What is the same for two texts that mean the same, though a service wrote one of them in its own way.

    Args:
        form: of the field.
        text: its value; an empty one stays empty.
    """
    text = text.strip()
    match form:
        case Form.EMAIL:
            return text.casefold()
        case Form.PHONE:
            return bare_phone(text)
        case Form.FLAG | Form.MOMENT if text:
            return _read(form, text)
        case _:
            return " ".join(text.split())


def _read(form: Form, text: str) -> str:
    try:
        return moment(text).isoformat() if form is Form.MOMENT else (YES if yes_or_no(text) else NO)
    except ValueError:  # it is no such value: a person wrote it
        return text
