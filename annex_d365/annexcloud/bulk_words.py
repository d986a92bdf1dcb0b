"""What the words in the answer to a bulk call say: of an item, and around items (Annex page 5.7).

All names are compared without case and underscores (:func:`folded`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from annex_d365.annexcloud.errors import status_of
from annex_d365.annexcloud.fields import KNOWN
from annex_d365.retry import SUCCESS

#: Where an item's member id may stand.
ID_NAMES = frozenset({"id", "userid", "memberid", "uid"})
#: What may be put around items without saying anything of them.
_NEUTRAL = frozenset(
    {
        "data",
        "result",
        "results",
        "response",
        "users",
        "user",
        "userdetail",
        "userdetails",
        "members",
        "records",
        "items",
    }
)
_DONE_WORDS = frozenset({"success", "successful", "succeeded", "ok", "done", "created", "updated", "true"})
#: A message may be made of these, and a word of the above.
_PRAISE = _DONE_WORDS | {"successfully", "user", "users", "member", "members", "record", "has", "have", "been", "was"}
#: `status` of an item may be that of the member (Annex page 5.1).
_MEMBER_WORDS = frozenset({"active", "inactive"})
_STATUSES = frozenset({"statuscode", "status"})
_CODE_FIELD = "errorcode"
_MESSAGES = frozenset({"message", "statusmessage"})
#: Names of fields that are good only if they say nothing.
_COMPLAINT = re.compile("errcode|errmsg|error|fail|fault|ignor|invalid|message|msg|problem|reason|reject|skip|warn")
_NOTHING = frozenset({"", "0", "false"})
#: Only a stored record has them (Annex page 5.1).
_STORED = frozenset({"createdate", "updatedate"})
#: Fields of a member (Annex pages 5.1, 5.2), which say nothing of what became of the item.
_MEMBER_FIELDS = (
    _STORED | ID_NAMES | {name.casefold() for name in KNOWN} | {"siteid", "optoutdate", "totalspendcurrency"}
) - _STATUSES
_MEMBER_OBJECTS = frozenset({"activitybasedstatus", "extendedattribute"})

#: Anything else might be a sentence, which may quote the member.
_CODE = re.compile("[A-Z]{0,4}[0-9]{1,6}")


@dataclass(frozen=True)
class Verdict:
    """What an item's result says: an HTTP status, and the service's code if it is a refusal that has one."""

    status: int
    code: str = ""

    @property
    def done(self) -> bool:
        """Whether the item was carried out."""
        return self.status in SUCCESS


def harmless(sections: Collection[str]) -> bool:
    """Whether the names around items do not speak against them."""
    return set(sections) <= _NEUTRAL | _DONE_WORDS


def judge(fields: Iterable[tuple[str, Any]], sections: Collection[str], known: Collection[str]) -> Verdict | None:
    """What is said of one item; None if that is not clear.

    Args:
        fields: of the item; a name may come twice.
        sections: names around it.
        known: further names of fields that say nothing of what became of it.
    """
    statuses, codes, words = set(), set(), _DONE_WORDS & set(sections)
    stored, doubtful = False, not harmless(sections)
    for name, value in fields:
        text = _text(value)
        if text and name in _STATUSES | _DONE_WORDS | {_CODE_FIELD}:
            if len(text) == 3 and text.isdecimal():  # noqa: PLR2004 - digits of an HTTP status
                statuses.add(int(text))
            elif name != _CODE_FIELD:
                words |= {text}
            elif text != "0":
                codes.add(text.upper())
        else:
            stored = stored or (name in _STORED and bool(text))
            doubtful = doubtful or not _harmless(name, value, known)
    failures = {status for status in statuses if not Verdict(status).done}
    if codes:
        # As with a single call, an error may arrive with the status of a success.
        code = codes.pop()
        failures = failures or {status_of(code) or 0}
        clear = not codes and len(failures) == 1 and all(failures) and _CODE.fullmatch(code)
        return Verdict(failures.pop(), code) if clear else None
    if failures:
        agreed = statuses == failures and len(failures) == 1 and not words & _DONE_WORDS
        return Verdict(failures.pop()) if agreed else None
    sure = statuses or words & _DONE_WORDS or stored
    doubtful = doubtful or not words <= _DONE_WORDS | _MEMBER_WORDS
    return Verdict(min(statuses, default=200)) if sure and not doubtful else None


def _harmless(name: str, value: Any, known: Collection[str]) -> bool:
    """Whether a field of an item is known not to say that it was refused."""
    if isinstance(value, (list, Mapping)):
        return not value or name in _MEMBER_OBJECTS
    if value is None or value == "" or name in _MEMBER_FIELDS:
        return True
    if _COMPLAINT.search(name):
        return _text(value) in _NOTHING or (name in _MESSAGES and _praises(value))
    return name in known


def telling(name: str) -> bool:
    """Whether a name says something of what became of items."""
    return name in _DONE_WORDS or bool(_COMPLAINT.search(name))


def complains(name: str, value: Any, sections: Collection[str]) -> bool:
    """Whether what stands around items may say that some were refused.

    Args:
        name: of the field; empty in a list.
        value: a text, number, or yes/no.
        sections: names around it.
    """
    text = _text(value)
    if not text or (text in _NOTHING and name not in _DONE_WORDS):
        return False
    if not harmless(sections):
        return True
    if name in _STATUSES:
        return text not in _DONE_WORDS and not (text.isdecimal() and int(text) in SUCCESS)
    if name in _DONE_WORDS:  # or a count
        return text not in _DONE_WORDS and not text.isdecimal()
    return bool(_COMPLAINT.search(name)) and not (name in _MESSAGES and _praises(value))


def _praises(value: Any) -> bool:
    words = frozenset(_text(value).rstrip(".!").split())
    return words <= _PRAISE and not words.isdisjoint(_DONE_WORDS)


@lru_cache(maxsize=1024)
def folded(name: str) -> str:
    """A name as all names are compared here."""
    return name.replace("_", "").casefold()


def _text(value: Any) -> str:
    return "" if value is None or isinstance(value, (list, Mapping)) else str(value).strip().casefold()
