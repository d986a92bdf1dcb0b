"""Who holds which target: the rules, without a database."""

from __future__ import annotations

from collections.abc import Mapping

from annex_d365.frozen import frozen


@frozen
class Link:
    """A row holds a target.

    Attributes:
        key: of the row at its source.
        by_id: it named the target by an id, and so cannot be outranked.
    """

    key: str
    by_id: bool


class Links:
    """The links of a stream that some claims are about, by folded target. A target has one holder, a row one target.

    Args:
        known: all links of the targets and of the rows in question.
    """

    def __init__(self, known: Mapping[str, Link]) -> None:
        self._known = known
        self._links = dict(known)
        self._targets = {link.key: target for target, link in known.items()}

    def claim(self, key: str, target: str, *, by_id: bool) -> None:
        """Let a row have a target if it is free, or if the row outranks its holder; it then gives up its other one."""
        holder = self._links.get(target)
        if holder is not None and holder.key != key:
            if holder.by_id or not by_id:
                return
            del self._targets[holder.key]
        elif holder is not None:
            by_id = by_id or holder.by_id
        self.release(key)
        self._links[target] = Link(key, by_id)
        self._targets[key] = target

    def release(self, key: str) -> None:
        """Let a row give up the target that it holds, if any."""
        target = self._targets.pop(key, None)
        if target is not None:
            del self._links[target]

    def holder(self, target: str) -> str:
        """Key of the row that holds a target; empty if it is free."""
        link = self._links.get(target)
        return link.key if link else ""

    @property
    def changes(self) -> dict[str, Link | None]:
        """Links that differ from the known ones; None where there is none any more."""
        return {
            target: self._links.get(target)
            for target in {**self._known, **self._links}
            if self._links.get(target) != self._known.get(target)
        }
