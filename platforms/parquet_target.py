"""``plinxore-target-s3`` into Parquet files on an S3 of its own, moto's (docs/platforms/targets.md)."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterable, Mapping
from contextlib import closing
from decimal import Decimal
from socket import create_server
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

from platforms.environments import environment
from platforms.loading import Loader, show
from platforms.result import Failure, Result
from platforms.world import Row, World

if TYPE_CHECKING:
    from typing_extensions import Self

_BUCKET = "warehouse"
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
#: Prints the rows of all objects below a prefix, in the order of their writing, a line of JSON each.
_READ = """
import boto3, decimal, io, json, sys
import pyarrow.parquet as pq
keys = {"aws_access_key_id": "a", "aws_secret_access_key": "s", "region_name": "us-east-1"}
s3 = boto3.client("s3", endpoint_url=sys.argv[1], **keys)
objects = s3.list_objects_v2(Bucket=sys.argv[2], Prefix=sys.argv[3]).get("Contents", ())
for each in sorted(objects, key=lambda each: (each["LastModified"], each["Key"])):
    table = pq.read_table(io.BytesIO(s3.get_object(Bucket=sys.argv[2], Key=each["Key"])["Body"].read()))
    for row in table.to_pylist():
        print(json.dumps(row, default=lambda v: {"decimal": str(v)} if isinstance(v, decimal.Decimal) else str(v)))
"""


class TargetS3(Loader):
    """A prefix for each tap and stream; each run adds files."""

    # Types are inferred, file by file: a column without values has none.
    merges = False
    types: Mapping[str, frozenset[str]] = {}

    def __init__(self, world: World) -> None:
        self._world, self._target = world, environment("target-s3")
        self.versions = self._target.versions("plinxore-target-s3", "pyarrow", "moto")
        with closing(create_server(("127.0.0.1", 0))) as free:
            self._port = free.getsockname()[1]
        self._url = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        """Start S3, and make the bucket."""
        words = [self._target.program("moto_server"), "-H", "127.0.0.1", "-p", str(self._port)]
        self._s3 = subprocess.Popen(  # noqa: S603 - our own command
            words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(150):
            if _made(f"{self._url}/{_BUCKET}"):
                return self
            time.sleep(0.2)
        self._s3.terminate()
        raise Failure("moto does not start")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End S3."""
        self._s3.terminate()
        self._s3.wait(10)

    def value(self, value: Any) -> Any:
        """Days become moments, at midnight."""
        return f"{value}T00:00:00" if isinstance(value, str) and _DAY.fullmatch(value) else value

    def command(self, schema: str) -> list[str]:
        """Files are added; types are inferred, since of the schemas it takes all texts with a format for moments."""
        aws = {
            "aws_access_key_id": "a",
            "aws_secret_access_key": "s",
            "aws_region": "us-east-1",
            "aws_bucket": _BUCKET,
            "aws_endpoint_override": self._url,
        }
        settings = {
            "format": {"format_type": "parquet", "format_parquet": {"get_schema_from_tap": False}},
            "cloud_provider": {"cloud_provider_type": "aws", "aws": aws},
            "prefix": schema,
            "append_date_to_prefix": False,
            "add_record_metadata": True,
        }
        config = self._world.file(f"target-s3-{schema}.json", settings)
        return [self._target.program("target-s3"), "--config", str(config)]

    def rows(self, schema: str, stream: str) -> Iterable[Row]:
        """All rows of all files."""
        words = [self._target.program("python"), "-c", _READ, self._url, _BUCKET, f"{schema}/{stream}/"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
        if done.returncode:
            raise Failure(f"Parquet: {done.stderr.strip()[-300:]}")
        return [json.loads(line, parse_float=Decimal, object_hook=_decimal) for line in done.stdout.splitlines()]

    def columns(self, schema: str, stream: str) -> Mapping[str, str]:
        """None, as their types are not compared."""
        del schema, stream
        return {}


def _decimal(value: Row) -> Any:
    """A decimal, which JSON has no other form for that keeps it exact."""
    return Decimal(value["decimal"]) if value.keys() == {"decimal"} else value


def _made(bucket: str) -> bool:
    """Whether S3 is up, and has made the bucket."""
    request = urllib.request.Request(bucket, method="PUT")  # noqa: S310 - our own server
    try:
        urllib.request.urlopen(request).close()  # noqa: S310 - our own server
    except URLError:
        return False
    return True


def run(world: World) -> Result:
    """The row of the table."""
    with TargetS3(world) as loader:
        return show(world, loader)
