"""Seeded data of a retailer: the same for the same seed, and shaped so that the first sync has something to do.

Half of the contacts are loyalty members already: the contact holds the member id, the Annex Cloud site the member. Some
members hold old values, some have opted out; some of the other contacts wish to be enrolled.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from uuid import UUID

from annex_d365_sandbox.annexcloud import history
from annex_d365_sandbox.dataverse.marketing import leads
from annex_d365_sandbox.dataverse.marketing import seed as segments
from annex_d365_sandbox.dataverse.models import BUSINESS_UNIT_ID, CURRENCY_ID, USER_ID
from annex_d365_sandbox.names import ODD_FIRST, ODD_LAST, Pool, pools
from annex_d365_sandbox.owned import owned
from annex_d365_sandbox.specimens import plant_specimens

if TYPE_CHECKING:
    from annex_d365_sandbox.annexcloud.models import Site
    from annex_d365_sandbox.dataverse.models import Organisation

#: The moment of the last seeded change; fixed, so that the same seed gives the same rows on any day.
LATEST = datetime(2026, 1, 1, tzinfo=timezone.utc)
_SPAN = 2 * 365 * 24 * 3600
_DOMAINS = ("example.com", "example.org", "example.net")
_BATCH = 5000
#: One, as a decimal with the ten digits that exchange rates have.
_RATE = 10**10


@dataclass(frozen=True)
class Seed:
    """How many contacts, which ones, how many synthetic tables, and which generation of segments."""

    contacts: int
    seed: int
    extra_tables: int = 0
    #: ``outbound``, ``journeys``, ``both``, or ``""`` for none
    segments_api: str = ""


@dataclass(frozen=True)
class Customer:
    """A contact with the member that belongs to it."""

    contact: dict[str, Any]
    member: dict[str, Any] | None


def plant(seed: Seed, organisation: Organisation, site: Site) -> None:
    """Fill an empty organisation and an empty site."""
    organisation.have_extra_tables(seed.extra_tables)
    organisation.have_segments(seed.segments_api)
    # Numbers of their own for what only the loyalty site holds: the rows of both sides stay as they are for a seed.
    rng, loyalty = random.Random(seed.seed), random.Random(seed.seed)
    for table, rows in _base().items():
        organisation.put(table, rows)
    accounts = [_account(rng, number) for number in range(max(3, seed.contacts // 100) if seed.contacts else 0)]
    organisation.put("account", accounts)
    people = customers(rng, seed.contacts, [account["accountid"] for account in accounts])
    while batch := [customer for _, customer in zip(range(_BATCH), people, strict=False)]:
        organisation.put("contact", (customer.contact for customer in batch))
        members = [customer for customer in batch if customer.member]
        enrolled = [customer.member for customer in members if customer.member]
        site.put_members(enrolled)
        site.activities.put(entry for member in enrolled for entry in history.movements(loyalty, member, LATEST))
        organisation.put(
            "cr0dd_loyaltyactivity",
            [_activity(rng, customer.contact) for customer in members if rng.random() < 0.1],  # noqa: PLR2004
        )
    plant_specimens(rng, organisation)
    if seed.segments_api:
        leads.plant(organisation, rng, seed.contacts // 20, LATEST)
        segments.plant(organisation, LATEST)
    site.segments.put(history.segments(loyalty, [member["id"] for member in site.members()]))


def customers(rng: random.Random, count: int, accounts: Sequence[str]) -> Iterator[Customer]:
    """So many contacts; every second one is a member."""
    of, shares = pools()
    shared: list[str] = []
    bursts = [_moment(rng) for _ in range(max(1, count // 100))]
    for number in range(count):
        contact = _contact(rng, rng.choices(of, shares)[0], number, accounts)
        if rng.random() < 0.1:  # noqa: PLR2004 - rows of one import have one moment
            contact["modifiedon"] = max(rng.choice(bursts), contact["createdon"])
        if number % 2:
            yield Customer(contact, _member(rng, contact, number))
        else:
            _prospect(rng, contact, shared)
            yield Customer(contact, None)


def _guid(rng: random.Random) -> str:
    return str(UUID(int=rng.getrandbits(128), version=4))


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S")


def _moment(rng: random.Random) -> str:
    return _text(LATEST - timedelta(seconds=rng.randrange(_SPAN)))


def _base() -> dict[str, list[dict[str, Any]]]:
    """The rows that every organisation has: what lookups point to."""
    start = _text(LATEST - timedelta(seconds=_SPAN))
    stamps = {"createdon": start, "modifiedon": start}
    unit = {"businessunitid": BUSINESS_UNIT_ID, "name": "Sandbox Retail", "isdisabled": 0}
    user = {
        "systemuserid": USER_ID,
        "firstname": "Loyalty",
        "lastname": "Sync",
        "fullname": "Loyalty Sync",
        "domainname": "loyalty.sync@sandbox.example",
        "internalemailaddress": "loyalty.sync@sandbox.example",
        "isdisabled": 0,
        "businessunitid": BUSINESS_UNIT_ID,
    }
    currency = {
        "transactioncurrencyid": CURRENCY_ID,
        "currencyname": "US Dollar",
        "isocurrencycode": "USD",
        "currencysymbol": "$",
        "currencyprecision": 2,
        "exchangerate": _RATE,
        "statecode": 0,
        "statuscode": 1,
    }
    return {
        "businessunit": [{**unit, **stamps}],
        "systemuser": [{**user, **stamps}],
        "transactioncurrency": [{**currency, **stamps}],
    }


def _account(rng: random.Random, number: int) -> dict[str, Any]:
    of, shares = pools()
    pool = rng.choices(of, shares)[0]
    created = _moment(rng)
    revenue = rng.randrange(10**9) * 100
    return {
        **owned(created, created),
        "accountid": _guid(rng),
        "name": f"{rng.choice(pool.last)} {rng.choice(('Retail', 'Stores', 'Market', 'Outlet'))} {number}",
        "accountnumber": f"A{number:06d}",
        "address1_city": rng.choice(pool.cities),
        "address1_country": pool.country,
        "revenue": revenue,
        "revenue_base": revenue,
        "exchangerate": _RATE,
        "transactioncurrencyid": CURRENCY_ID,
    }


def _contact(rng: random.Random, pool: Pool, number: int, accounts: Sequence[str]) -> dict[str, Any]:
    chance = rng.random
    first = rng.choice(ODD_FIRST) if chance() < 0.02 else rng.choice(pool.first)  # noqa: PLR2004
    last = rng.choice(ODD_LAST) if chance() < 0.03 else rng.choice(pool.last)  # noqa: PLR2004
    created, modified = sorted((_moment(rng), _moment(rng)))
    city, postcode, street = rng.choice(pool.cities), rng.choice(pool.postcodes), rng.choice(pool.streets)
    row: dict[str, Any] = {
        **owned(created, modified),
        "contactid": _guid(rng),
        "firstname": first,
        "lastname": last,
        "fullname": f"{first} {last}",
        "emailaddress1": _email(rng, first, last, number),
        "mobilephone": f"{pool.prefix}{rng.randrange(10**8, 10**9)}" if chance() < 0.85 else None,  # noqa: PLR2004
        "telephone1": f"{pool.prefix}{rng.randrange(10**8, 10**9)}" if chance() < 0.3 else None,  # noqa: PLR2004
        "address1_addressid": _guid(rng),
        "address1_line1": street,
        "address1_city": city,
        "address1_postalcode": postcode,
        "address1_country": pool.country,
        "address1_composite": f"{street}\r\n{city} {postcode}\r\n{pool.country}",
        "birthdate": _birthday(rng),
        "gendercode": rng.choice((None, 1, 2)),
        "familystatuscode": rng.choice((None, None, 1, 2, 3, 4)),
        "preferredcontactmethodcode": rng.choice((1, 1, 1, 2, 3)),
        "customertypecode": 1,
        "leadsourcecode": 1,
        "donotemail": int(chance() < 0.05),  # noqa: PLR2004
        "donotbulkemail": int(chance() < 0.15),  # noqa: PLR2004
        "donotphone": int(chance() < 0.1),  # noqa: PLR2004
        "donotfax": 0,
        "donotpostalmail": 0,
        "donotsendmm": 0,
        "followemail": 1,
        "creditonhold": 0,
        "numberofchildren": rng.choice((None, 0, 1, 2, 3)),
        "cr0dd_loyaltyenrol": 0,
        "cr0dd_interests": ",".join(map(str, sorted(rng.sample(range(1, 9), rng.randrange(4))))) or None,
    }
    if chance() < 0.1:  # noqa: PLR2004
        limit = rng.randrange(10**6) * 100
        row |= {"creditlimit": limit, "creditlimit_base": limit}
        row |= {"transactioncurrencyid": CURRENCY_ID, "exchangerate": _RATE}
    if accounts and chance() < 0.3:  # noqa: PLR2004
        row |= {"parentcustomerid": rng.choice(accounts), "parentcustomerid__table": "account"}
    if chance() < 0.002:  # noqa: PLR2004 - as long as the column takes
        row["description"] = "Long note. " * 181 + "End note."
    if chance() < 0.05:  # noqa: PLR2004
        row |= {"statecode": 1, "statuscode": 2}
    return row


def _email(rng: random.Random, first: str, last: str, number: int) -> str:
    """An address of its own for each contact; one in 500 is as long as the column takes."""
    plain = unicodedata.normalize("NFKD", f"{first}.{last}").encode("ascii", "ignore").decode().lower()
    local = "".join(char for char in plain if char.isalnum() or char == ".").strip(".").replace("..", ".") or "customer"
    domain = rng.choice(_DOMAINS)
    tail = f".{number}@{domain}"
    width = 100 - len(tail) if rng.random() < 0.002 else len(local)  # noqa: PLR2004
    return f"{(local + 'x' * width)[:width]}{tail}"


def _birthday(rng: random.Random) -> str | None:
    chance = rng.random()
    if chance < 0.1:  # noqa: PLR2004
        return None
    if chance < 0.12:  # noqa: PLR2004
        return f"{rng.randrange(1940, 2005, 4)}-02-29"
    return (date(1940, 1, 1) + timedelta(days=rng.randrange(65 * 365))).isoformat()


def _prospect(rng: random.Random, contact: dict[str, Any], shared: list[str]) -> None:
    """A contact that is no member: may wish to be one, may share its address with another, may have none."""
    contact["cr0dd_loyaltyenrol"] = int(rng.random() < 0.2)  # noqa: PLR2004
    chance = rng.random()
    if chance < 0.02:  # noqa: PLR2004 - of half of the contacts: one in a hundred of all
        contact["emailaddress1"] = None
    elif chance < 0.035 and shared:  # noqa: PLR2004
        contact["emailaddress1"] = rng.choice(shared)
    elif len(shared) < _BATCH:
        shared.append(contact["emailaddress1"])


def _member(rng: random.Random, contact: dict[str, Any], number: int) -> dict[str, Any]:
    """The member of a contact, which learns its id; about one in five holds old values."""
    contact["cr0dd_loyaltyid"] = f"AC{number + 101:07d}"
    joined = f"{contact['createdon']}+0000"
    member = {
        "id": contact["cr0dd_loyaltyid"],
        "email": contact["emailaddress1"],
        "firstName": contact["firstname"],
        "lastName": contact["lastname"],
        "phone": contact["mobilephone"],
        "birthDate": contact["birthdate"],
        "zipCode": contact["address1_postalcode"],
        "optInStatus": "NO" if rng.random() < 0.1 else "YES",  # noqa: PLR2004
        "optInDate": joined,
        "status": "ACTIVE",
        "createDate": joined,
        "updateDate": joined,
    }
    if rng.random() < 0.2:  # noqa: PLR2004
        field = rng.choice(("phone", "lastName", "zipCode"))
        member[field] = {"phone": f"+1{rng.randrange(10**8, 10**9)}", "lastName": "Formerly", "zipCode": "00000"}[field]
    return {name: value for name, value in member.items() if value is not None}


def _activity(rng: random.Random, contact: dict[str, Any]) -> dict[str, Any]:
    at = max(contact["createdon"], _moment(rng))
    points = rng.randrange(-500, 1000)
    return {
        **owned(at, at),
        "cr0dd_loyaltyactivityid": _guid(rng),
        "cr0dd_name": f"{'Redeemed' if points < 0 else 'Earned'} {abs(points)}",
        "firstname": contact["firstname"],
        "lastname": contact["lastname"],
        "emailaddress1": contact["emailaddress1"],
        "cr0dd_loyaltyid": contact["cr0dd_loyaltyid"],
        "cr0dd_activityid": f"ACT{rng.getrandbits(40):010X}",
        "cr0dd_activitytype": "REDEEM" if points < 0 else "PURCHASE",
        "cr0dd_points": points,
        "cr0dd_amount": abs(points) * 10,
        "cr0dd_activitydate": at,
        "cr0dd_contact": contact["contactid"],
    }
