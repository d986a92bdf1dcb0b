"""What the Dataverse page has about refused sign-ins from general knowledge only (its section 1.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from annex_d365_sandbox.switchboard import Switchboard


@dataclass
class Switches(Switchboard):
    """How the token endpoint says no."""

    #: the HTTP status of refusals: that of the page's list, or one for all
    error_status: Literal["listed", "all_400", "all_401"] = "listed"
    #: whether refusals have AADSTS numbers, in ``error_codes`` and in the text; clients must not need them
    error_numbers: bool = True
