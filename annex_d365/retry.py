"""When a request is sent again, and when: one table, and pure functions over it."""

from __future__ import annotations

import email.utils
import random
import re
from collections.abc import Mapping
from enum import Enum

#: How long one request is tried again before the run ends.
PATIENCE_SECONDS = 900.0
MAX_TRIES = 10
#: A host that never answered is more likely a wrong setting than an outage.
MAX_TRIES_FIRST_CONTACT = 3
MAX_PAUSE_SECONDS = 60.0

SUCCESS = range(200, 300)
UNAUTHORIZED = 401
_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")
#: Failed before the service did anything: any request may be sent again.
NOT_STARTED = frozenset({429})
#: May have been carried out: only what can be repeated in effect is sent again.
IN_DOUBT = frozenset({408, 500, 502, 503, 504})


class Action(Enum):
    """What to do with an answer."""

    ACCEPT = "accept"
    RETRY = "retry"
    SIGN_IN = "sign in"
    FAIL = "fail"


def decide(status: int, *, repeatable: bool, signed_in_again: bool = False) -> Action:
    """The retry table. ``repeatable`` says that sending the request twice has the effect of sending it once."""
    if status in NOT_STARTED or (status in IN_DOUBT and repeatable):
        return Action.RETRY
    if status == UNAUTHORIZED and not signed_in_again:
        return Action.SIGN_IN
    return Action.ACCEPT if status in SUCCESS else Action.FAIL


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that ``Retry-After`` asks for, from seconds or an HTTP date; None when absent or unreadable.

    Whole seconds by the standard; a fraction is understood, too.
    """
    value = headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - now)
    except ValueError:
        return None


def pause(tries: int, asked: float | None) -> float:
    """Seconds before the next try: what the service asked for to the letter, else doubling with jitter.

    "At once" is no answer: a service that says so while it refuses would be hammered.
    """
    if asked:
        return asked
    return random.uniform(0.5, 1.0) * min(MAX_PAUSE_SECONDS, 2.0 ** (tries - 1))  # noqa: S311 - no secret
