"""Read a source by PyAirbyte into its cache, and print the cache: run where PyAirbyte is, and nothing of ours.

Standard input is JSON: ``{"executable", "config", "streams", "cache"}``; the last line of standard output, too:
``{"read": records, "streams": {stream: {"types": {column: type}, "rows": [row]}}}``, as the cache has them now.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import airbyte  # type: ignore[import-not-found]

asked = json.load(sys.stdin)
source = airbyte.get_source(
    Path(asked["executable"]).name, config=asked["config"], local_executable=Path(asked["executable"])
)
source.check()
source.select_streams(asked["streams"])
cache = airbyte.caches.DuckDBCache(db_path=asked["cache"], schema_name="main")
read = source.read(cache=cache)
found = {}
with cache.get_sql_engine().connect() as database:
    for stream in asked["streams"]:
        columns = database.exec_driver_sql(f'DESCRIBE main."{stream}"').fetchall()  # names of our own streams
        rows = database.exec_driver_sql(f'SELECT * FROM main."{stream}"').mappings()  # noqa: S608 - as above
        found[stream] = {"types": {column[0]: column[1] for column in columns}, "rows": [dict(row) for row in rows]}
print(json.dumps({"read": read.processed_records, "streams": found}, default=str))  # noqa: T201 - what the caller reads
