"""Replies of the control plane: JSON, and ``{"error": "..."}`` with 400 for a request that it cannot follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from datetime import datetime, timezone
from typing import Any

from annex_d365_sandbox.control.models import Control
from annex_d365_sandbox.dataverse.marketing.tables import TABLES
from annex_d365_sandbox.seed import Seed
from annex_d365_sandbox.wire import Reply, Request

_SEED: dict[str, Callable[[Any], Any]] = {f.name: str if f.name == "segments_api" else int for f in fields(Seed)}


class Responses:
    """The handlers; each takes a request and the named parts of its path."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def reset(self, _request: Request, _parts: Mapping[str, str]) -> Reply:
        """Everything back to the seeded state."""
        self._control.reset()
        return Reply.json(self._control.stats())

    def seed(self, request: Request, _parts: Mapping[str, str]) -> Reply:
        """New seeded data, or rows, members and segments of one's own, or many Dataverse segments (``volume``)."""
        body = _object(request)
        if unknown := body.keys() - {*_SEED, "table", "rows", "members", "segments", "volume"}:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        if body.get("segments_api", "") not in TABLES:
            raise ValueError(f"segments_api is one of {', '.join(filter(None, TABLES))}")
        if changes := {name: kind(body[name]) for name, kind in _SEED.items() if name in body}:
            self._control.seed(replace(self._control.seeded or Seed(0, 0), **changes))
        if "rows" in body:
            self._control.put_rows(str(body.get("table", "")), _objects(body, "rows"))
        if "members" in body:
            self._control.put_members(_objects(body, "members"))
        if "segments" in body:
            self._control.put_segments(_objects(body, "segments"))
        if "volume" in body:
            self._control.put_volume(**{name: int(number) for name, number in dict(body["volume"]).items()})
        return Reply.json(self._control.stats())

    def clock(self, request: Request, _parts: Mapping[str, str]) -> Reply:
        """The time; POST moves it: ``{"advance": seconds}``, ``{"freeze": moment or true}``, ``{"reset": true}``."""
        clock = self._control.clock
        if request.method == "POST":
            for name, value in _object(request).items():
                if name == "advance":
                    clock.advance(float(value))
                elif name == "freeze":
                    clock.freeze(clock.now() if value is True else _moment(str(value)))
                elif name == "reset":
                    clock.reset()
                else:
                    raise ValueError(f"unknown: {name}")
        return Reply.json({"now": clock.now().isoformat()})

    def faults(self, request: Request, _parts: Mapping[str, str]) -> Reply:
        """The faults in force; POST adds one, DELETE takes all away."""
        if request.method == "POST":
            self._control.faults.add(**_object(request))
        elif request.method == "DELETE":
            self._control.faults.clear()
        return Reply.json(self._control.faults.entries())

    def deletions(self, request: Request, _parts: Mapping[str, str]) -> Reply:
        """The members that Annex Cloud's next batch deletes; POST runs it."""
        if request.method == "POST":
            return Reply.json({"deleted": self._control.run_deletions()})
        return Reply.json(self._control.deletions())

    def limits(self, request: Request, _parts: Mapping[str, str]) -> Reply:
        """The limits in force; POST changes them."""
        if request.method == "POST":
            self._control.limits.set(_object(request))
        return Reply.json(self._control.limits.figures)

    def log(self, request: Request, _parts: Mapping[str, str]) -> Reply:
        """The requests seen; POST and DELETE forget them."""
        if request.method != "GET":
            self._control.log.clear()
        return Reply.json(self._control.log.entries())

    def stats(self, _request: Request, _parts: Mapping[str, str]) -> Reply:
        """Rows per table, members, requests per route."""
        return Reply.json(self._control.stats())

    def switches(self, request: Request, _parts: Mapping[str, str]) -> Reply:
        """The switches of both services; POST turns some."""
        if request.method == "POST":
            self._control.turn(_object(request))
        return Reply.json(self._control.switches())


def _object(request: Request) -> dict[str, Any]:
    body = request.json()
    if not isinstance(body, dict):
        raise TypeError("a JSON object is needed")
    return body


def _objects(body: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    given = body[name]
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise TypeError(f"{name} is a list of objects")
    return given


def _moment(text: str) -> datetime:
    at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return at if at.tzinfo else at.replace(tzinfo=timezone.utc)
