"""The floor: no more than what any tap has to do, as one writes it in an hour, one page after the other.

``python floor_tap.py URL TOKEN SET [COLUMNS]`` writes Singer messages; with ``--msgspec`` by the fastest JSON there is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import msgspec
import requests

PAGE = 5000


def main() -> None:
    """The command."""
    arguments = [each for each in sys.argv[1:] if each != "--msgspec"]
    url, token, table, *columns = arguments
    decode: Callable[[bytes], Any] = json.loads
    encode: Callable[[Any], bytes] = lambda value: json.dumps(value).encode()  # noqa: E731 - as short as that
    if "--msgspec" in sys.argv:
        decode, encode = msgspec.json.decode, msgspec.json.encode
    session = requests.Session()
    session.headers.update({"Authorization": f"Bearer {token}", "Prefer": f"odata.maxpagesize={PAGE}"})
    link = f"{url}/api/data/v9.2/{table}" + (f"?$select={columns[0]}" if columns else "")
    out = sys.stdout.buffer
    out.write(encode({"type": "SCHEMA", "stream": table, "schema": {"properties": {}}, "key_properties": []}) + b"\n")
    while link:
        reply = session.get(link, timeout=120)
        reply.raise_for_status()
        page = decode(reply.content)
        at = datetime.now(timezone.utc).isoformat()
        for row in page["value"]:
            record = {name: value for name, value in row.items() if "@" not in name}
            message = {"type": "RECORD", "stream": table, "record": record, "time_extracted": at}
            out.write(encode(message) + b"\n")
        link = page.get("@odata.nextLink")


if __name__ == "__main__":
    main()
