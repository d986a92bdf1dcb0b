"""The floor for writing: the same calls, and no more than what has to be done for them.

``python floor_target.py annex_cloud|d365 CONFIG`` reads Singer messages and writes rows of the stream ``contacts``,
eight calls at a time; with ``--msgspec`` by the fastest JSON there is. Calls are those of the target: 100 members, or
250 rows of a table, by the same bulk messages.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import jwt
import msgspec
import requests

#: API field -> column.
MEMBER = {"email": "emailaddress1", "firstName": "firstname", "lastName": "lastname", "phone": "mobilephone",
          "birthDate": "birthdate", "zipCode": "address1_postalcode"}  # fmt: skip
READ_ONLY = {"createdon", "modifiedon", "versionnumber"}
CALLS = 8
#: Rows of a call. Dynamics 365 would take more, but the target does not send more: see
#: ``TableWriter._share`` in annex_d365/dataverse/writes/writer.py. Another number would measure another thing.
ROWS = {"annex_cloud": 100, "d365": 250}


def main() -> None:
    """The command."""
    destination, path = (each for each in sys.argv[1:] if each != "--msgspec")
    config = json.loads(Path(path).read_text())
    decode: Callable[[bytes], Any] = json.loads
    encode: Callable[[Any], bytes] = lambda value: json.dumps(value).encode()  # noqa: E731 - as short as that
    if "--msgspec" in sys.argv:
        decode, encode = msgspec.json.decode, msgspec.json.encode
    to_annex = destination == "annex_cloud"
    size = ROWS[destination]
    local = threading.local()

    def post(rows: list[dict[str, Any]]) -> None:
        if not hasattr(local, "session"):
            local.session = requests.Session()
        if to_annex:
            url = f"{config['base_url']}/bulkpatchusers"
            body: Any = [
                {"id": row["cr0dd_loyaltyid"], **{field: row[name] for field, name in MEMBER.items() if row[name]}}
                for row in rows
            ]
            token = jwt.encode({"exp": int(time.time()) + 180}, config["secret_key"], "HS256")
        else:
            url = f"{config['organization_url']}/api/data/v9.2/contacts/Microsoft.Dynamics.CRM.UpsertMultiple"
            kind = {"@odata.type": "Microsoft.Dynamics.CRM.contact"}
            body = {"Targets": [{**kind, **{k: v for k, v in row.items() if k not in READ_ONLY}} for row in rows]}
            token = "-"
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        local.session.post(url, data=encode(body), headers=headers, timeout=120).raise_for_status()

    messages = map(decode, sys.stdin.buffer)
    records = (each["record"] for each in messages if each["type"] == "RECORD")
    with ThreadPoolExecutor(CALLS) as pool:
        waiting: list[Future[None]] = []
        while rows := list(islice(records, size)):
            waiting.append(pool.submit(post, rows))
            if len(waiting) > 2 * CALLS:
                waiting.pop(0).result()
        for each in waiting:
            each.result()


if __name__ == "__main__":
    main()
