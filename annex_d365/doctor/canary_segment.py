"""The test segment in Annex Cloud, and how it is written (Annex pages 10.1, 10.2)."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping, Sequence
from typing import Any

from annex_d365.annexcloud.segment_writing import DateForm, Dialect, MemberForm, SegmentWriting
from annex_d365.annexcloud.segments import eligible
from annex_d365.doctor.annex_site import Site, inner
from annex_d365.doctor.wire import Answer
from annex_d365.errors import ConnectorError

_PATIENCE_SECONDS, _PAUSE_SECONDS = 10, 2


class CanarySegment:
    """The test segment: how it is written is found out, and kept for later checks."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.id = ""
        #: Seconds that a change of members has taken to be seen.
        self.lag = 0
        self.dates = DateForm(site.setting("segment_date_form", Dialect.dates.value))
        self.members = MemberForm(site.setting("segment_member_form", Dialect.members.value))
        words = site.setting("segment_member_update", {}) if site.having("segment_member_update") else {}
        self.add: str | None = words.get("add", Dialect.add)
        self.remove: str | None = words.get("remove", Dialect.remove)

    def body(self, **more: Any) -> dict[str, Any]:
        """Name and days, which are mandatory in any case (Annex page 10.2)."""
        today = dt.datetime.now(dt.timezone.utc).date()
        days = {"fromDate": self.dates.text(today), "toDate": self.dates.text(today + dt.timedelta(days=1))}
        return {"name": self._site.bird.name, **days, **more}

    def create(self) -> Answer:
        """Create it, ready for members as the jobs create one."""
        name = self._site.bird.name
        words = self._site.service.segment_words
        body = self.body(type=words.static, status=words.active, externalId=name, externalName=name)
        answer = self._site.post("segment", body, repeatable=False)
        shown = inner(answer.body)
        if answer.ok and isinstance(shown, Mapping):
            self.id = str(shown.get("segmentId") or shown.get("id") or "")
        return answer

    def change(self, **more: Any) -> Answer:
        """Change it."""
        return self._site.patch("segment", self.id, self.body(id=self.id, **more))

    def put(self, members: Sequence[str], word: str | None) -> Answer:
        """Change its members, by a word or without one."""
        listed = list(members) if self.members is MemberForm.LIST else ",".join(members)
        return self.change(member=listed, **({"memberUpdate": word} if word else {}))

    def comes_to(self, member: str, *, inside: bool) -> bool:
        """Whether the member is in it (or not) before long: what was accepted may be done later."""
        for seconds in range(0, _PATIENCE_SECONDS, _PAUSE_SECONDS):
            if self.has(member) is inside:
                self.lag = max(self.lag, seconds)
                return True
            time.sleep(_PAUSE_SECONDS)
        return False

    def still_has(self, member: str) -> bool:
        """Whether the member is in it after as long as changes have taken."""
        time.sleep(self.lag)
        return self.has(member)

    def has(self, member: str) -> bool:
        """Whether the member is in it, by either way that tells."""
        try:
            told = SegmentWriting(self._site.service, Dialect()).members(self.id)
        except ConnectorError:
            told = None
        if told is None:
            answer = self._site.get("eligiblesegment", self.id, query={"page": 1})
            told = [str(each["id"]) for each in eligible(inner(answer.body))] if answer.ok else []
        return member in told
