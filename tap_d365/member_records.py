"""From contacts to records of ``segment_members``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from annex_d365.dataverse.client import Row
from annex_d365.dataverse.metadata import Table
from annex_d365.dataverse.records import Records
from annex_d365.dataverse.segments.members import ContactColumns
from annex_d365.dataverse.segments.replies import KEY
from annex_d365.errors import SettingError

if TYPE_CHECKING:
    from tap_d365.segment_members import SegmentMembers

EMAIL_COLUMN = "emailaddress1"


def chosen_columns(contacts: Table, options: Mapping[str, Any]) -> list[str]:
    """The columns of contacts that the setting ``segments.member_columns`` adds.

    Raises:
        SettingError: there is no such column.
    """
    found = {}
    for name in options.get("member_columns") or ():
        column = contacts.column_name(name)
        if not column:
            raise SettingError("segments.member_columns", f"contacts have no column `{name}` that can be read.")
        found[column] = True
    return list(found)


class MemberRecords:
    """What to ask for, and what to make of it.

    Args:
        stream: the stream.

    Attributes:
        sources: columns of contacts, by their names in records; selected ones only.
        asked: what is asked for.
    """

    def __init__(self, stream: SegmentMembers) -> None:
        contacts, loyalty = stream.marketing.contacts, stream.config["member_id_column"]
        if loyalty not in contacts.columns:
            stream.logger.warning("Contacts have no column `%s` (setting `member_id_column`).", loyalty)
        columns = {"member_id": loyalty, "email": EMAIL_COLUMN, **{name: name for name in stream.columns}}
        self.sources = {
            name: column
            for name, column in columns.items()
            # Where only snapshots are selected, nobody sees them.
            if stream.selected and column in contacts.columns and stream.has_column(name)
        }
        self._records = Records(contacts, dict.fromkeys(self.sources.values()))
        self.asked = ContactColumns(
            stream.dataverse,
            [*dict.fromkeys(contacts.columns[name].select for name in self._records.names)],
            self._records.annotations,
            page_size=stream.config["page_size"],
        )

    def record(self, segment_id: str, version: str, row: Row) -> Row:
        """The record of a contact."""
        values = self._records.build(row)
        record = {"segment_id": segment_id, "contact_id": row[KEY], "version": version, "member_id": None}
        record.update((name, values[column]) for name, column in self.sources.items())
        record["member_id"] = record["member_id"] or None  # an emptied column may hold an empty text
        return record
