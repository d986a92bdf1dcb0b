"""Sinks: one for each object that rows can become."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from annex_d365.singer.rejects import Reject
from annex_d365.singer.rows import RowSink
from target_annex.mapping import member_mapping
from target_annex.members import MemberWriter
from target_annex.settings import member_rules

if TYPE_CHECKING:
    from target_annex.target import TargetAnnex


class MembersSink(RowSink):
    """Rows become members."""

    #: A signal waits for the end of a batch, so that it should not take minutes.
    MAX_SIZE_DEFAULT = 1000

    target: TargetAnnex

    def __init__(
        self, target: TargetAnnex, stream_name: str, schema: dict[str, Any], key_properties: Sequence[str] | None
    ) -> None:
        super().__init__(target, stream_name, schema, key_properties)
        target.report(stream_name)  # there is a line for a stream without rows, too
        rules = member_rules(target.config)
        mapping = member_mapping(
            stream_name,
            target.config["destination"],
            target.streams.get(stream_name, {}),
            rules,
            columns=schema["properties"],
            key_properties=self.key_properties,
        )
        self._writer = MemberWriter(target.members, mapping, rules, target.links[stream_name], target.executor)

    def process_batch(self, context: dict[str, Any]) -> None:
        """Write the rows."""
        report = self.target.report(self.stream_name)
        for row, result in self._writer.write(context["rows"]):
            if result.error:
                error = result.error
                self.target.reject(self.stream_name, row, Reject(str(error), error.code, error.status))
            else:
                report.counts[result.outcome] += 1
                report.opt_ins_withheld += result.opt_in_withheld


#: By the setting `object`.
SINKS = {"members": MembersSink}
