"""The streams about members: ``members``, ``activities``, ``rewards``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from singer_sdk.singerlib import ActivateVersionMessage

from annex_d365.annexcloud.bulk import BULK_LIMIT
from annex_d365.annexcloud.columns import ACTIVITY, ID, NEXT_REWARDS, POINTS, PROFILE, REWARD, TIERS, Column, Kind
from annex_d365.annexcloud.enumeration import Candidate, Enumeration
from annex_d365.annexcloud.fields import moment
from annex_d365.annexcloud.history import FALLBACK, History
from annex_d365.annexcloud.points import Points
from annex_d365.annexcloud.profiles import Profiles, Rewards
from annex_d365.errors import SettingError
from tap_annex.member_stream import Found, MemberStream, time_of
from tap_annex.passage import Passage

_UNTIL = "until"
_MEMBER = Column("member_id", description="`id` of the member")
_POINTS = Column("points", Kind.NUMBER, description="Credit, or debit as a negative number")


def _schema(columns: Iterable[Column], *keys: str) -> dict[str, Any]:
    properties = {each.name: each.schema for each in columns}
    for key in keys:
        properties[key]["type"] = "string"
    return {"type": "object", "properties": properties, "required": list(keys)}


class MembersStream(MemberStream):
    """Members, all of them in each run: balances and tiers do not move ``updateDate``.

    The selected columns decide which calls are made (Annex pages 5.2, 7, 8, 9).
    """

    name = "members"
    primary_keys = (ID.name,)
    schema = _schema((*PROFILE, *POINTS, *TIERS, *NEXT_REWARDS), ID.name)

    @cached_property
    def profiles(self) -> Profiles:
        """Reads them."""
        return Profiles(self.service, self.wanted, self.config["members"].get("columns"))

    @property
    def together(self) -> int:
        """As many as one bulk call tells about, if there is one to make."""
        return BULK_LIMIT if self.profiles.bulk else super().together

    def read(self, candidates: Sequence[Candidate]) -> Found:
        """As in :class:`MemberStream`."""
        records = self.profiles.read(candidates)
        return Found(records, gone=len(candidates) - len(records))

    def begin(self, passage: Passage, enumeration: Enumeration) -> None:
        """Records carry a version, where others are to be dropped."""
        if self.config["emit_activate_version_messages"] and enumeration.whole:
            began = time_of(passage.began) or self.run_start
            self._stream_version = int(began.timestamp())

    def end(self, passage: Passage, enumeration: Enumeration) -> None:
        """Tell the target that all members were sent, if they were."""
        if not self.config["emit_activate_version_messages"]:
            return
        if not enumeration.whole or passage.left or passage.torn:
            self.logger.warning("No ACTIVATE_VERSION: these are not for sure all members.")
            return
        for stream_map in self.stream_maps:
            self._tap_annex.write_message(
                ActivateVersionMessage(stream=stream_map.stream_alias, version=self._stream_version or 0)
            )


class ActivitiesStream(MemberStream):
    """Activities of members since the last run, and those of `lookback_days` before it: their points may have changed.

    State: ``{"until": start of the last run that was at its end}``, one for all members.
    """

    name = "activities"
    primary_keys = ("activityId",)
    schema = _schema((*ACTIVITY, _MEMBER, _POINTS), "activityId", "member_id")
    schema["properties"]["activityId"]["description"] = (
        f"The service's own, or `{FALLBACK}` and a hash of member, action, date, amount and order where it gives none"
    )

    @cached_property
    def history(self) -> History:
        """Reads them."""
        return History(Points(self.service))

    @cached_property
    def since(self) -> datetime | None:
        """How old they may be; None for all.

        Raises:
            SettingError: the setting is no time, or none that there was.
        """
        until = time_of(self.stream_state.get(_UNTIL))
        if until:
            try:
                return until - timedelta(days=self.config["lookback_days"])
            except OverflowError:
                raise SettingError("lookback_days", "reaches back to before there were dates.") from None
        text = self.config.get("start_date")
        try:
            return moment(text) if text else None
        except ValueError:
            raise SettingError("start_date", "is not a time such as 2026-01-31T00:00:00Z.") from None

    def begin(self, passage: Passage, enumeration: Enumeration) -> None:  # noqa: ARG002 - as in MemberStream
        """Settle from when on, before the threads ask."""
        self.logger.info("Activities since %s.", self.since or "the beginning")

    def read(self, candidates: Sequence[Candidate]) -> Found:
        """As in :class:`MemberStream`."""
        found = [self.history.since(each.id, self.since) for each in candidates]
        # A member without activities may be answered like one that there is not (Annex page 3): nobody is counted.
        return Found([record for records in found for record in records or ()])

    def end(self, passage: Passage, enumeration: Enumeration) -> None:  # noqa: ARG002 - as in MemberStream
        """Move the bookmark, unless somebody's activities are missing."""
        if not passage.left:
            self.stream_state[_UNTIL] = passage.began


class RewardsStream(MemberStream):
    """The rewards that members may have, now or later."""

    name = "rewards"
    primary_keys = ("member_id", "rewardId")
    selected_by_default = False
    schema = _schema((_MEMBER, *REWARD), "member_id", "rewardId")

    @cached_property
    def rewards(self) -> Rewards:
        """Reads them."""
        return Rewards(self.service)

    def read(self, candidates: Sequence[Candidate]) -> Found:
        """As in :class:`MemberStream`."""
        return Found(
            [
                {"member_id": each.id, **reward}
                for each in candidates
                for reward in self.rewards.of(each.id)
                if reward["rewardId"]
            ]
        )
