"""Which id the actions of journeys take as SegmentId: a segment's own, or its definition's (Dataverse page 8.6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import requests

from annex_d365.dataverse.segments.segment import Segment
from annex_d365.errors import ServiceError

Reply = TypeVar("Reply")


class JourneyIds:
    """Sends the segment's own id; its definition's where the own one is not found, and first once that was right.

    What is not found was not carried out, so that asking again does no harm.
    """

    def __init__(self) -> None:
        self._by_definition = False

    def send(self, segment: Segment, send: Callable[[str], Reply]) -> Reply:
        """The answer to an action about a segment.

        Args:
            segment: which one.
            send: takes the id.

        Raises:
            ServiceError: the first refusal; neither id is found.
        """
        ids = [segment.segment_id, *([segment.definition] if segment.definition else [])]
        first, *others = reversed(ids) if self._by_definition else ids
        try:
            return send(first)
        except ServiceError as error:
            if error.status != requests.codes.not_found or not others:
                raise
            refusal = error
        try:
            reply = send(others[0])
        except ServiceError as error:
            if error.status != requests.codes.not_found:
                raise
            raise refusal from None
        self._by_definition = others[0] == segment.definition
        return reply
