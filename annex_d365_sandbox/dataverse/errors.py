"""The Web API's errors (Dataverse page 7): a status, a code and a message."""

from __future__ import annotations

from collections.abc import Mapping

from annex_d365_sandbox.dataverse.schema import Key, Table

#: The code of a row that is not there; once it was empty (Dataverse page 5.1).
MISSING_ROW = "0x80040217"


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


def undeclared_navigation(name: str, table: Table) -> DataverseError:
    """``@odata.bind`` on a name that is no navigation property; case counts (Dataverse page 5.1)."""
    return bad_payload(
        table,
        f"An undeclared property '{name}' which only has property annotations in the payload but no property value was"
        " found in the payload. In OData, only declared navigation properties and declared named streams can be"
        " represented as properties without values.",
    )


def bad_parameters(inner: str) -> DataverseError:
    """A body of an action or a definition that cannot be understood."""
    return DataverseError(
        400,
        "0x80048d19",
        "Error identified in Payload provided by the user for Entity :'', For more information on this error please"
        " follow this help link https://go.microsoft.com/fwlink/?linkid=2195293  ---->  InnerException :"
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


def missing_value(table: Table, name: str) -> DataverseError:
    """A column that the system requires would be empty; the code is an assumption."""
    return bad_value("0x80040203", f"Required field '{name}' of entity '{table.logical_name}' is missing.")


def bad_status() -> DataverseError:
    """A status that does not belong to the state."""
    return bad_value(
        "0x80048408",
        "State code is invalid or state code is valid but status code is invalid for a specified state code.",
    )


def missing_keyed_row(table: Table) -> DataverseError:
    """No row has this value of an alternate key (Dataverse page 7)."""
    return DataverseError(
        404, "0x80060891", f"A record with the specified key values does not exist in {table.logical_name} entity"
    )


def undefined_key(table: Table) -> DataverseError:
    """An address by columns that are no alternate key, or by one whose index is not active; status 400 is assumed."""
    return DataverseError(
        400, "0x80060890", f"The specified key attributes are not a defined key for the {table.logical_name} entity"
    )


def missing_row(table: Table, row_id: str) -> DataverseError:
    """No row has this id."""
    return DataverseError(404, MISSING_ROW, f"Entity '{table.schema_name}' With Id = {row_id} Does Not Exist")


def duplicate_row(status: int = 412) -> DataverseError:
    """A create meets a row of the same key; that its status is a condition's is assumed (Dataverse page 7)."""
    return DataverseError(status, "0x80040237", "A record with matching key values already exists.")


def duplicate_key(table: Table, key: Key, status: int) -> DataverseError:
    """A write would give two rows one value of an alternate key; the status is an assumption (Dataverse page 7)."""
    names = ", ".join(table.by_name[name].label or name for name in key.attributes)
    return DataverseError(
        status,
        "0x80060892",
        f"Entity Key {key.label or key.logical_name} violated. A record with the same value for {names} already exists."
        " A duplicate record cannot be created. Select one or more unique values and try again.",
    )


def duplicate_detected() -> DataverseError:
    """A rule of duplicate detection finds another row (Dataverse page 5.1)."""
    return DataverseError(
        412,
        "0x80040333",
        "A record was not created or updated because a duplicate of the current record already exists.",
    )


def stale_version() -> DataverseError:
    """``If-Match`` names another version."""
    return DataverseError(
        412, "0x80060882", "The version of the existing record doesn't match the RowVersion property provided."
    )


def bad_version() -> DataverseError:
    """``If-Match`` is neither ``*`` nor a version."""
    return DataverseError(412, "0x80060883", "The RowVersion property must be provided to check the row's version.")


def too_large(limit: int) -> DataverseError:
    """A body above the limit; the page knows the status only (Dataverse page 7)."""
    return DataverseError(413, "", f"The request body is larger than {limit:,} bytes.")


def unsupported_message(message: str, table: Table) -> DataverseError:
    """A bulk message that the table has not; status 400 is an assumption."""
    return DataverseError(400, "0x80100008", f"{table.logical_name} entity does not support this message. ({message})")


def sql_timeout() -> DataverseError:
    """A bulk message that takes SQL too long (Dataverse page 5.3)."""
    return DataverseError(500, "0x80044151", "SQL timeout expired.")


def not_a_member() -> DataverseError:
    """The token is good, but nobody made an application user for it."""
    return DataverseError(403, "0x80072560", "The user is not a member of the organization.")


def missing_privilege(table: Table, user_id: str, verb: str = "Read") -> DataverseError:
    """The user's roles do not let it read (``Create``, ``Write``, ``Delete``) rows of the table."""
    on = f" on OTC={table.object_type_code} for entity '{table.logical_name}'"
    return _missing_privilege(f"prv{verb}{table.schema_name}", user_id, on)


def missing_global_privilege(name: str, user_id: str) -> DataverseError:
    """The user's roles lack a privilege that belongs to no table."""
    return _missing_privilege(name, user_id, "")


def _missing_privilege(name: str, user_id: str, on: str) -> DataverseError:
    return DataverseError(
        403,
        "0x80040220",
        f"Principal user (Id={user_id}, type=8, roleCount=1, privilegeCount=10, accessMode='0 Read-Write') is missing"
        f" {name} privilege (Id=00000000-0000-0000-0000-000000000000){on}. context.Caller={user_id}",
    )


def option_beside_tracking(name: str, code: str) -> DataverseError:
    """A query option that change tracking does not take; the code is an assumption (Dataverse page 3)."""
    return DataverseError(400, code, f'The "{name}" query parameter isn\'t supported when Change Tracking is enabled.')


def not_tracked(table: Table) -> DataverseError:
    """The table keeps no changes."""
    return DataverseError(400, "0x80072491", f"Entity {table.logical_name} isn't enabled for change tracking.")


def intersect_not_tracked(table: Table) -> DataverseError:
    """A table of an N:N relation keeps no changes."""
    return DataverseError(
        400, "0x80072492", f"Change tracking isn't supported for the N:N relationship table {table.logical_name}."
    )


def expired_stamp(status: int) -> DataverseError:
    """A delta token is older than the changes that are kept; the status is an assumption (Dataverse page 3)."""
    return DataverseError(
        status,
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


def unknown_attribute(name: str) -> DataverseError:
    """No column has this name or id."""
    return DataverseError(404, "0x80060888", f"Could not find an attribute with specified name: {name}")


def unknown_definition(what: str, name: str) -> DataverseError:
    """No key, relationship or solution is called this; code and status are assumptions."""
    return DataverseError(404, "0x80060888", f"Could not find a {what} with specified name: {name}")


def bad_prefix(name: str, what: str) -> DataverseError:
    """A schema name without a publisher's prefix."""
    return bad_value(
        "0x80044366",
        f"The schema name {name} for type {what} is invalid or missing. Custom attribute, entity, entitykey, option set"
        " and relationship names must start with a valid customization prefix. The prefix for a solution component"
        " should match the prefix that is specified for the publisher of the solution.",
    )


def name_taken(what: str, name: str) -> DataverseError:
    """A schema name that something else has."""
    return bad_value(
        "0x80044363", f"{what} with schema name {name} is not unique: an object with the same name already exists."
    )


def bad_key(why: str) -> DataverseError:
    """An alternate key of columns that cannot make one (Dataverse page 4); the code is an assumption."""
    return bad_value("0x80060888", why)


def not_customizable() -> DataverseError:
    """A definition of the platform's own."""
    return bad_value("0x80047008", "The specified entity is not customizable")


def component_in_use(what: str, name: str, count: int) -> DataverseError:
    """A definition that others refer to."""
    return bad_value(
        "0x8004F01F",
        f"The {what}({name}) component cannot be deleted because it is referenced by {count} other components. For a"
        " list of referenced components, use the RetrieveDependenciesForDeleteRequest.",
    )


def unauthorised(authority: str, resource: str) -> DataverseError:
    """No token, an expired one, or one for somebody else (Dataverse page 1.2); the empty body is an assumption."""
    challenge = f"Bearer authorization_uri={authority}/oauth2/authorize, resource_id={resource}/"
    return DataverseError(401, "0x80048306", "Authentication failed.", {"WWW-Authenticate": challenge})
