"""The settings of tap-annex; README and meltano.yml are checked against them."""

from __future__ import annotations

from singer_sdk import typing as th

from annex_d365.annexcloud.connect import DEFAULT_PARALLEL
from annex_d365.annexcloud.ways import BY_SEGMENTS, WAYS
from annex_d365.singer.site import assumption_settings, site_settings

#: As for the target.
MAX_PARALLEL_REQUESTS = 52
DEFAULT_LOOKBACK_DAYS = 30

CONFIG = th.PropertiesList(
    *site_settings(),
    th.Property(
        "members",
        th.ObjectType(
            th.Property("by", th.StringType, allowed_values=list(WAYS), required=True),
            th.Property("path", th.StringType),
            th.Property("columns", th.ObjectType(additional_properties=th.StringType)),
            th.Property("stream", th.StringType),
            th.Property("delimiter", th.StringType(min_length=1, max_length=1)),
            th.Property("segments", th.ArrayType(th.StringType)),
            th.Property("status", th.StringType(min_length=1)),
            th.Property("from", th.DateTimeType),
            th.Property("opted_out", th.BooleanType),
            th.Property("whole", th.BooleanType),
            additional_properties=False,
        ),
        default={"by": BY_SEGMENTS},
        description="How members are found, for the API has no list of them: `by` is `segments` (members of all "
        "segments; `segments` and `status` name some), `search` (opt-in dates since `from`, divided until a search "
        "shows all; then those who opted out, unless `opted_out` is false), `ids` (the file `path`: one id a line, or "
        "the output of a tap, of which `stream` and `columns.id` name stream and column), `feed` (the CSV file `path`; "
        "nothing is asked of the service; `columns` names its columns where they differ, `delimiter` what is between "
        "them) or `webhooks` (the file `path` of events). `whole` says that segments or ids name all members there "
        "are. `columns` also names fields of the API by column, where the site has other names",
    ),
    th.Property(
        "start_date",
        th.DateTimeType,
        description="Read only activities since then, where there is no bookmark yet",
    ),
    th.Property(
        "lookback_days",
        th.IntegerType(minimum=0),
        default=DEFAULT_LOOKBACK_DAYS,
        description="Read activities again that are so much older than the last run: longer than points are on hold, "
        "so that their release is seen",
    ),
    th.Property(
        "emit_activate_version_messages",
        th.BooleanType,
        default=False,
        description="Send ACTIVATE_VERSION after the last member, if all there are were read in one run, so that a "
        "target can drop who is gone",
    ),
    th.Property(
        "max_parallel_requests",
        th.IntegerType(minimum=1, maximum=MAX_PARALLEL_REQUESTS),
        default=DEFAULT_PARALLEL,
        description="Requests to Annex Cloud at a time",
    ),
    *assumption_settings(),
    th.Property("ca_bundle", th.StringType, description="File of certificates to trust instead of the usual ones"),
).to_dict()
