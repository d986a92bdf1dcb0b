"""How members are found: the setting ``members``, and the enumerations of the library."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from annex_d365.annexcloud import member_files
from annex_d365.annexcloud.ahead import Crew
from annex_d365.annexcloud.client import AnnexCloud
from annex_d365.annexcloud.enumeration import Enumeration
from annex_d365.annexcloud.fields import moment
from annex_d365.annexcloud.search import EARLIEST, SearchEnumeration
from annex_d365.annexcloud.segment_enumeration import SegmentEnumeration
from annex_d365.annexcloud.segments import Segments
from annex_d365.errors import SettingError

BY_SEGMENTS, BY_SEARCH, BY_IDS, BY_FEED, BY_WEBHOOKS = WAYS = ("segments", "search", "ids", "feed", "webhooks")

#: The last window of a search ends so much after the run's start: clocks differ.
_MARGIN = timedelta(days=1)


def enumeration_of(
    setting: Mapping[str, Any], *, service: AnnexCloud, crew: Crew, site_id: str, now: datetime
) -> Enumeration:
    """The enumeration that the setting ``members`` asks for.

    Args:
        setting: as the settings have it.
        service: of the site.
        crew: sends its requests.
        site_id: of the site.
        now: when the run began.

    Raises:
        SettingError: a part of the setting is missing or not valid.
    """
    by = setting["by"]
    if by == BY_SEGMENTS:
        return SegmentEnumeration(
            Segments(service, crew),
            wanted=setting.get("segments") or (),
            status=setting.get("status") or "",
            whole=bool(setting.get("whole")),
        )
    if by == BY_SEARCH:
        opted_out = setting.get("opted_out")
        return SearchEnumeration(
            service, crew, begin=_begin(setting), end=now + _MARGIN, opted_out=opted_out is None or opted_out
        )
    path = setting.get("path")
    if not path:
        raise SettingError("members.path", f"is required for `by: {by}`.")
    columns = setting.get("columns") or {}
    if by == BY_FEED:
        return member_files.feed(path, columns, delimiter=setting.get("delimiter") or ",")
    if by == BY_WEBHOOKS:
        return member_files.webhooks(path, site_id=site_id)
    return member_files.ids(
        path,
        column=columns.get("id", "id"),
        stream=setting.get("stream") or "",
        whole=bool(setting.get("whole")),
    )


def _begin(setting: Mapping[str, Any]) -> datetime:
    text = setting.get("from")
    try:
        return moment(text) if text else EARLIEST
    except ValueError:
        raise SettingError("members.from", "is not a time such as 2026-01-31T00:00:00Z.") from None
