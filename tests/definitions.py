"""An organisation's metadata, as its service answers, for tests without a service."""

from __future__ import annotations

import re
from types import SimpleNamespace
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from annex_d365.dataverse.client import RawPage
from annex_d365.gate import Gate


def attribute(name, kind, type_name=None, **more):
    type_name = type_name or f"{kind}Type"
    return {"LogicalName": name, "AttributeType": kind, "AttributeTypeName": {"Value": type_name}, **more}


def date(name, behavior):
    return attribute(name, "DateTime", DateTimeBehavior={"Value": behavior})


def label(text, *others):
    every = [{"Label": each, "LanguageCode": 1031} for each in (*others, text)]
    return {"LocalizedLabels": every, "UserLocalizedLabel": {"Label": text, "LanguageCode": 1033}}


CONTACT = [
    attribute("contactid", "Uniqueidentifier"),
    attribute("fullname", "String", MaxLength=160, DisplayName=label("Full Name", "Voller Name")),
    attribute("description", "Memo", MaxLength=2000, DisplayName=label("Notes"), Description=label("What is known")),
    date("birthdate", "DateOnly"),
    date("modifiedon", "UserLocal"),
    attribute("creditlimit", "Money", MaxLength=None, Targets=None),
    attribute("ownerid", "Owner", Targets=["systemuser", "team"]),
    attribute("owneridname", "String", AttributeOf="ownerid"),
    attribute("parentcustomerid", "Customer"),
    attribute("new_about", "Lookup", Targets=["contact", "account"]),
    attribute("createdby", "Lookup", Targets=["systemuser"]),
    attribute("statuscode", "Status"),
    attribute("new_interests", "Virtual", "MultiSelectPicklistType"),
    attribute("entityimage", "Virtual", "ImageType"),
    attribute("entityimage_url", "String", AttributeOf="entityimage", MaxLength=200),
    attribute("new_contract", "Virtual", "FileType"),
    attribute("new_secret", "String", IsValidForRead=False),
    attribute("new_flag", "Boolean", AttributeOf=None, IsValidForRead=None),
    attribute("new_calendar", "Virtual"),
]


def entity(name="contact", entity_set="contacts", attributes=CONTACT, **more):
    return {
        "LogicalName": name,
        "EntitySetName": entity_set,
        "PrimaryIdAttribute": f"{name}id",
        "Attributes": attributes,
        "MetadataId": "m",
        **more,
    }


class Organisation:
    """Answers as the Web API does, and keeps what it was asked."""

    def __init__(self, *entities):
        self.http = SimpleNamespace(gate=Gate(9))
        self.entities = entities
        self.asked = []

    def page(self, url, page_size):
        assert page_size is None, "metadata has no pages"
        self.asked.append(url)
        return RawPage([msgspec.Raw(msgspec.json.encode(each)) for each in self.answer(urlsplit(unquote(url)))])

    def answer(self, url):
        assert url.path == "EntityDefinitions"
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        wanted = {*re.findall(r"(?:LogicalName|EntitySetName) eq '([^']+)'", query.get("$filter", ""))}
        return [each for each in self.entities if not wanted or {each["LogicalName"], each["EntitySetName"]} & wanted]
