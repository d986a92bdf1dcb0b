"""Values that break programs, and ways to break a good document."""

from __future__ import annotations

import json
from copy import deepcopy

NAMES = (
    "",
    " ",
    "\0",
    "__proto__",
    "__class__",
    "a.b",
    "a/b",
    "$ref",
    "@odata.bind",
    "x@odata.bind",
    "id'); DROP TABLE x; --",
    "{0}",
    "%s",
    "\ud800",
    "名前",
    "n" * 5000,
    "contactid",
    "_sdc_deleted_at",
    "properties",
)
TEXTS = (
    "",
    " ",
    "\0",
    "\ud800",
    "\udfff\ud800",
    "a" * 70_000,
    "' OR 1=1 --",
    "<script>",
    "{{7*7}}",
    "\u202e",
    "../../etc/passwd",
    "null",
    "NaN",
    "0001-01-01T00:00:00Z",
    "0000-00-00T00:00:00Z",
    "9999-12-31T23:59:59.9999999Z",
    "10000-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2026-02-30",
    "2026-W01-1",
    "1e999",
    "-0",
    "\uff41ddress@example.org",
    "a@b@example.org",
    "person@example.org\r\nBcc: x@example.org",
    "00000000-0000-0000-0000-000000000000",
    "{00000000-0000-4000-8000-000000000001}",
)
NUMBERS = (0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**400, 0.1, -0.0, 1e308, float("nan"), float("inf"), -float("inf"))
OTHERS = (None, True, False, [], {}, [None], [[]], {"": {}}, ["x"], {"id": None})


def value(chance):
    """One of them."""
    return deepcopy(chance.choice([*TEXTS, *NUMBERS, *OTHERS, *OTHERS]))


def places(document):
    """(container, key) of every part of a document."""
    found, waiting = [], [document]
    while waiting:
        each = waiting.pop()
        keys = list(each) if isinstance(each, dict) else range(len(each)) if isinstance(each, list) else ()
        for key in keys:
            found.append((each, key))
            waiting.append(each[key])
    return found


def spoil(document, chance, times=1):
    """A copy with parts exchanged, taken away, doubled or renamed."""
    document = [deepcopy(document)]
    for _ in range(times):
        container, key = chance.choice(places(document))
        match chance.randrange(6):
            case 0 if isinstance(container, dict):
                del container[key]
            case 1 if isinstance(container, dict):
                container[chance.choice(NAMES)] = container.pop(key)
            case 2 if isinstance(container, dict):
                container[chance.choice(NAMES)] = value(chance)
            case 3 if isinstance(container, list) and container is not document:
                container.insert(key, deepcopy(container[key]))
            case 4 if isinstance(container[key], str):
                text = container[key]
                at = chance.randrange(len(text) + 1)
                container[key] = text[:at] + chance.choice(TEXTS)[:50] + text[at:]
            case _:
                container[key] = value(chance)
    return document[0]


def written(document, chance):
    """JSON, NaN and all; sometimes with a key twice."""
    text = json.dumps(document, ensure_ascii=chance.random() < 0.7)
    if chance.random() < 0.02 and text.startswith("{") and len(text) > 2:
        text = f'{{"{chance.choice(["type", "stream", "record", "value", "id"])}": 1, {text[1:]}'
    return text.encode("utf-8", "surrogatepass")


def cut(data, chance):
    """Bytes that were damaged on the way."""
    at = chance.randrange(len(data) + 1)
    match chance.randrange(5):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
        case 2:
            return data[:at] + b"\xff\xfe\0" + data[at:]
        case 3:
            return b"[" * 3000 + data
        case _:
            return data[:at] + data[at:] * 2
