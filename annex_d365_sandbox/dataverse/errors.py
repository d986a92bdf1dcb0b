"""The Web API's errors (Dataverse page 7): a status, a code and a message."""

from __future__ import annotations

from collections.abc import Mapping

from annex_d365_sandbox.dataverse.schema import Table


class DataverseError(Exception):
    """Becomes a reply of ``status`` with ``{"error": {"code", "message"}}``."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, dict(headers or {})


def bad_query(message: str) -> DataverseError:
    """A URL or query option that cannot be understood."""
    return DataverseError(400, "0x80060888", message)


def unknown_property(name: str, table: Table) -> DataverseError:
    """A query option names a column that is not there."""
    return bad_query(f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{table.logical_name}'.")


def unknown_segment(name: str) -> DataverseError:
    """No such entity set, function or property in the path."""
    return DataverseError(404, "0x80060888", f"Resource not found for the segment '{name}'.")


def bad_payload(table: Table, inner: str) -> DataverseError:
    """A body that does not fit the table."""
    return DataverseError(
        400,
        "0x80048d19",
        f"Error identified in Payload provided by the user for Entity :'{table.set_name}', For more information on this"
        " error please follow this help link https://go.microsoft.com/fwlink/?linkid=2195293  ---->  InnerException :"
        f" Microsoft.OData.ODataException: {inner}",
    )


def unknown_payload_property(name: str, table: Table) -> DataverseError:
    """A body with a member that the table has not."""
    return bad_payload(
        table,
        f"The property '{name}' does not exist on type 'Microsoft.Dynamics.CRM.{table.logical_name}'. Make sure to only"
        " use property names that are defined by the type.",
    )


def bad_value(code: str, message: str) -> DataverseError:
    """A value that the column does not take."""
    return DataverseError(400, code, message)


def missing_row(table: Table, row_id: str) -> DataverseError:
    """No row has this id."""
    return DataverseError(404, "0x80040217", f"Entity '{table.schema_name}' With Id = {row_id} Does Not Exist")


def duplicate_row(code: str = "0x80040237") -> DataverseError:
    """A create meets a row of the same key; status 412 is an assumption (Dataverse page 7)."""
    return DataverseError(412, code, "A record with matching key values already exists.")


def stale_version() -> DataverseError:
    """``If-Match`` names another version."""
    return DataverseError(
        412, "0x80060882", "The version of the existing record doesn't match the RowVersion property provided."
    )


def not_a_member() -> DataverseError:
    """The token is good, but nobody made an application user for it."""
    return DataverseError(403, "0x80072560", "The user is not a member of the organization.")


def missing_privilege(table: Table, user_id: str) -> DataverseError:
    """The user's roles do not let it read the table."""
    return DataverseError(
        403,
        "0x80040220",
        f"Principal user (Id={user_id}, type=8, roleCount=1, privilegeCount=10, accessMode='0 Read-Write') is missing"
        f" prvRead{table.schema_name} privilege (Id=00000000-0000-0000-0000-000000000000) on"
        f" OTC={table.object_type_code} for entity '{table.logical_name}'. context.Caller={user_id}",
    )


def option_beside_tracking(name: str) -> DataverseError:
    """A query option that change tracking does not take; the code is an assumption (Dataverse page 3)."""
    return bad_query(f'The "{name}" query parameter isn\'t supported when Change Tracking is enabled.')


def not_tracked(table: Table) -> DataverseError:
    """The table keeps no changes."""
    return DataverseError(400, "0x80072491", f"Entity {table.logical_name} isn't enabled for change tracking.")


def intersect_not_tracked(table: Table) -> DataverseError:
    """A table of an N:N relation keeps no changes."""
    return DataverseError(
        400, "0x80072492", f"Change tracking isn't supported for the N:N relationship table {table.logical_name}."
    )


def expired_stamp() -> DataverseError:
    """A delta token is older than the changes that are kept; status 400 is an assumption (Dataverse page 3)."""
    return DataverseError(
        400,
        "0x80044352",
        "Version stamp associated with the client has expired. Please perform a full sync.",
    )


def invalid_stamp() -> DataverseError:
    """A delta token that this organisation never gave."""
    return DataverseError(400, "0x80044183", "Version stamp associated with the client is invalid.")


def too_many_to_aggregate() -> DataverseError:
    """``$apply`` over more rows than the organisation aggregates (Dataverse page 2.2)."""
    return DataverseError(400, "0x8004E023", "The maximum record limit is exceeded. Reduce the number of records.")


def unknown_table(name: str) -> DataverseError:
    """No table has this logical name."""
    return DataverseError(404, "0x80060888", f"Could not find an entity with specified name: {name}.")


def unauthorised(authority: str, resource: str) -> DataverseError:
    """No token, an expired one, or one for somebody else (Dataverse page 1.2); the empty body is an assumption."""
    challenge = f"Bearer authorization_uri={authority}/oauth2/authorize, resource_id={resource}/"
    return DataverseError(401, "", "", {"WWW-Authenticate": challenge})
