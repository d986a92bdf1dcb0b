"""Sinks: one for each object that rows can become."""

from __future__ import annotations

import abc
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from annex_d365.singer.rejects import Reject
from annex_d365.singer.rows import Row, RowSink
from target_annex.dynamics.contacts import Contacts, needs_finding
from target_annex.dynamics.rows import RowWriter
from target_annex.dynamics.settings import id_column, row_rules
from target_annex.dynamics.setup import row_mapping
from target_annex.mapping import member_mapping
from target_annex.member_settings import member_rules
from target_annex.members import MemberWriter
from target_annex.ownership import ownership
from target_annex.points import PostingWriter
from target_annex.posting_mapping import posting_mapping
from target_annex.report import Result

if TYPE_CHECKING:
    from target_annex.target import TargetAnnex


class Writer(Protocol):
    """Writes the rows of one stream."""

    def write(self, rows: Sequence[Row]) -> Iterable[tuple[Row, Result]]:
        """Yield each row with what became of it."""


class ObjectSink(RowSink):
    """Rows become objects of one kind."""

    #: Enough for eight calls at a time. A signal waits for the end of two batches, which should not take minutes.
    MAX_SIZE_DEFAULT = 2000

    target: TargetAnnex

    def __init__(
        self, target: TargetAnnex, stream_name: str, schema: dict[str, Any], key_properties: Sequence[str] | None
    ) -> None:
        super().__init__(target, stream_name, schema, key_properties)
        target.report(stream_name)  # there is a line for a stream without rows, too
        self._writer = self.writer()

    @abc.abstractmethod
    def writer(self) -> Writer:
        """For this stream.

        Raises:
            SettingError: the settings do not suit its columns.
        """

    def write(self, rows: Sequence[Row]) -> None:
        """Write the rows."""
        report = self.target.report(self.stream_name)
        for row, result in self._writer.write(rows):
            if result.error:
                error = result.error
                self.target.reject(self.stream_name, row, Reject(str(error), error.code, error.status))
            else:
                report.add(result)


class MembersSink(ObjectSink):
    """Rows become members."""

    beside: ClassVar[bool] = True

    def writer(self) -> MemberWriter:
        """For this stream."""
        target = self.target
        rules, owners = member_rules(target.config), ownership(target.config)
        mapping = member_mapping(
            self.stream_name,
            target.config["destination"],
            target.streams.get(self.stream_name, {}),
            rules,
            columns=self.schema["properties"],
            key_properties=self.key_properties,
            ownership=owners,
            prefix=target.config["column_prefix"],
        )
        book = target.ledger.book("members", self.stream_name)
        return MemberWriter(
            target.members,
            mapping,
            rules,
            book,
            target.executor,
            ownership=owners,
            contacts=target.contacts_of_members,
            dry_run=target.dry_run,
        )


class PointsSink(ObjectSink):
    """Rows become postings of points."""

    after: ClassVar[Collection[type[RowSink]]] = (MembersSink,)

    def writer(self) -> PostingWriter:
        """For this stream."""
        target = self.target
        mapping = posting_mapping(
            self.stream_name,
            target.streams.get(self.stream_name, {}),
            columns=self.schema["properties"],
            key_properties=self.key_properties,
            member_id_column=target.config["member_id_column"],
        )
        book = target.ledger.book("points", self.stream_name)
        return PostingWriter(target.points, mapping, book, target.executor, target.dry_run)


class RowsSink(ObjectSink):
    """Rows become rows of a table of Dynamics 365."""

    beside: ClassVar[bool] = True

    def writer(self) -> RowWriter:
        """For this stream."""
        target, config = self.target, self.target.config
        owners = ownership(config)
        mapping = row_mapping(
            target.dataverse,
            self.stream_name,
            target.streams.get(self.stream_name, {}),
            columns=self.schema["properties"],
            key_properties=self.key_properties,
            prefix=config["column_prefix"],
            too_long=config["too_long"],
            ownership=owners,
        )
        book = target.ledger.book(mapping.definition.logical_name, self.stream_name)
        contacts = None
        if needs_finding(mapping, id_column(config)):
            contacts = Contacts(
                target.dataverse,
                mapping.definition,
                self.stream_name,
                book,
                target.executor,
                id_column=id_column(config),
                links=target.members_of_contacts,
            )
        return RowWriter(
            target.dataverse,
            mapping,
            row_rules(config),
            book,
            target.executor,
            contacts=contacts,
            ownership=owners,
            dry_run=target.dry_run,
        )


class ContactsSink(RowsSink):
    """Rows become contacts, to which rows of other tables may refer."""


class OtherRowsSink(RowsSink):
    """Rows become rows of other tables."""

    after: ClassVar[Collection[type[RowSink]]] = (ContactsSink,)
