"""What tests of segments without a service share."""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st

from annex_d365.dataverse.client import RawPage

ROOT = "https://contoso.crm.dynamics.com/api/data/v9.2/"

guids = st.uuids().map(str)


def contact(number):
    return f"00000000-0000-4000-8000-{number:012d}"


def page_of(*found):
    return RawPage([msgspec.Raw(msgspec.json.encode(each)) for each in found])
