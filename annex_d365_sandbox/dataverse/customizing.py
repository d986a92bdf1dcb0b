"""Replies to changes of definitions: tables, columns, alternate keys, lookups (Dataverse page 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from annex_d365_sandbox.dataverse import columns as col
from annex_d365_sandbox.dataverse import definition_bodies, definitions, errors, relationships, schema, values
from annex_d365_sandbox.dataverse.bodies import member, members, object_in
from annex_d365_sandbox.dataverse.definition_bodies import label_of
from annex_d365_sandbox.dataverse.derived import USER_ID
from annex_d365_sandbox.dataverse.handling import Handlers, root
from annex_d365_sandbox.dataverse.schema import Attribute, Navigation, Table
from annex_d365_sandbox.wire import Reply, Request

#: Object type codes of new tables begin here, above those of all declared ones.
_FIRST_CODE = 20_000


class Customizing(Handlers):
    """The handlers of POST, PUT and DELETE of definitions. What they make is there at once, published or not."""

    def create_table(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """POST to ``EntityDefinitions``."""
        table = self._create_table(request, object_in(request))
        return _created(f"{root(request, parts)}/EntityDefinitions({definitions.metadata_id(table.logical_name)})")

    def create_tables(self, request: Request, _parts: Mapping[str, str]) -> Reply:
        """The action ``CreateEntities``, which Microsoft's client uses; that its reply is empty is an assumption."""
        for body in members(object_in(request), "Entities"):
            self._create_table(request, body)
        return Reply(204)

    def change_table(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """PUT of a table: names, description and change tracking, which is not switched off again (page 3)."""
        table, body = self._changeable(request, parts), object_in(request)
        self._organisation.define(
            replace(
                table,
                label=label_of(body, "DisplayName") or table.label,
                collection_label=label_of(body, "DisplayCollectionName") or table.collection_label,
                description=label_of(body, "Description") or table.description,
                change_tracking=table.change_tracking or body.get("ChangeTrackingEnabled") is True,
            )
        )
        return Reply(204)

    def delete_table(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """DELETE of a table that a client or the organisation made, and nothing leads to."""
        table = self._changeable(request, parts)
        if not table.custom:
            raise errors.not_customizable()
        others = [each for each in self._organisation.tables.values() if each is not table]
        used = sum(nav.table == table.logical_name for each in others for nav in each.navigations.values())
        if used:
            raise errors.component_in_use("Entity", table.logical_name, used)
        self._organisation.undefine(table)
        return Reply(204)

    def create_column(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """POST to ``Attributes`` of a table."""
        table, body = self._changeable(request, parts), object_in(request)
        made = definition_bodies.attributes_of(body, self._prefixes(request))
        self._add(table, made)
        where = f"{root(request, parts)}/EntityDefinitions{parts['table']}/Attributes"
        return _created(f"{where}({definitions.metadata_id(table.logical_name, made[0].name)})")

    def change_column(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """PUT of a column: its limits, label and requirement level."""
        table, body = self._changeable(request, parts), object_in(request)
        column = self._column(table, parts["column"])
        changed = definition_bodies.changed(column, body)
        attributes = tuple(changed if each is column else each for each in table.attributes)
        self._organisation.define(replace(table, attributes=attributes))
        return Reply(204)

    def delete_column(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """DELETE of a custom column that is in no key, with its shadows."""
        table = self._changeable(request, parts)
        column = self._column(table, parts["column"])
        if not definitions.is_custom(column) or column.name in (table.primary_id, table.primary_name):
            raise errors.not_customizable()
        self._remove(table, column)
        return Reply(204)

    def create_key(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """POST to ``Keys`` of a table; the index is built after a while."""
        table, body = self._changeable(request, parts), object_in(request)
        seconds = self._organisation.switches.key_build_seconds
        ready_at = values.stamp(self._organisation.clock.now() + timedelta(seconds=seconds))
        key = definition_bodies.key_of(table, body, self._prefixes(request), ready_at)
        self._organisation.define(replace(table, keys=(*table.keys, key)))
        self._organisation.build_keys()
        key_id = definitions.metadata_id(table.logical_name, "key", key.logical_name)
        return _created(f"{root(request, parts)}/EntityDefinitions{parts['table']}/Keys({key_id})")

    def delete_key(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """DELETE of an alternate key, by its id or its logical name."""
        table = self._changeable(request, parts)
        key = definitions.key_by(table, parts["key"])
        if key is None:
            raise errors.unknown_definition("key", definitions.named_in(parts["key"]))
        self._organisation.define(replace(table, keys=tuple(each for each in table.keys if each is not key)))
        return Reply(204)

    def create_relationship(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """POST of a OneToManyRelationshipMetadata with its ``Lookup``: a lookup column of the referencing table."""
        body = object_in(request)
        if not str(body.get("@odata.type", "")).endswith("OneToManyRelationshipMetadata"):
            raise errors.bad_parameters("The sandbox creates one-to-many relationships only.")
        table, target = self._named(body.get("ReferencingEntity")), self._named(body.get("ReferencedEntity"))
        self._check(request)
        lookup = member(body, "Lookup")
        name = definition_bodies.schema_name_of(lookup, self._prefixes(request), "Attribute")
        relationship = str(body.get("SchemaName") or "")
        if relationships.by_name(self._organisation.tables, relationship):
            raise errors.DataverseError(
                400,
                "0x8004432B",
                "A relationship with the specified name already exists. Please specify a unique name.",
            )
        column = Attribute(
            name.lower(),
            schema.LOOKUP,
            navigations=(Navigation(name, name.lower(), target.logical_name, relationship),),
            schema_name=name,
            label=label_of(lookup, "DisplayName") or name,
            required=str(member(lookup, "RequiredLevel").get("Value") or "None"),
            custom=True,
        )
        self._add(table, (column,))
        found = relationships.by_name(self._organisation.tables, relationship)
        return _created(f"{root(request, parts)}/RelationshipDefinitions({found['MetadataId'] if found else ''})")

    def delete_relationship(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """DELETE of a relationship, which takes its lookup column away."""
        self._check(request)
        found = next(
            (each for each in relationships.all_of(self._organisation.tables) if each["MetadataId"] == parts["id"]),
            None,
        )
        if found is None:
            raise errors.unknown_definition("relationship", parts["id"])
        table = self._organisation.tables[found["ReferencingEntity"]]
        column = table.by_name[found["ReferencingAttribute"]]
        if not definitions.is_custom(column):
            raise errors.not_customizable()
        self._remove(table, column)
        return Reply(204)

    def publish(self, request: Request, _parts: Mapping[str, str]) -> Reply:
        """``PublishXml`` and ``PublishAllXml``."""
        self._check(request)
        return Reply(204)

    def refuse(self, _request: Request, _parts: Mapping[str, str]) -> Reply:
        """Definitions are not changed in parts (Dataverse page 7: 405)."""
        raise errors.DataverseError(405, "0x80060888", "Operation not supported on Metadata Entity")

    def _create_table(self, request: Request, body: Mapping[str, Any]) -> Table:
        self._check(request)
        codes = [each.object_type_code for each in self._organisation.tables.values()]
        table = definition_bodies.table_of(body, self._prefixes(request), max(_FIRST_CODE, *codes) + 1)
        if table.logical_name in self._organisation.tables or table.set_name in self._organisation.sets:
            raise errors.name_taken("Entity", table.schema_name)
        self._organisation.define(table)
        return table

    def _add(self, table: Table, made: Sequence[Attribute]) -> None:
        for each in made:
            if any(each.name == held.name for held in table.attributes):
                raise errors.name_taken("Attribute", each.schema_name or each.name)
        whole = col.with_shadows(definition_bodies.with_currency(made, table.attributes))
        self._organisation.define(replace(table, attributes=(*table.attributes, *whole)))

    def _remove(self, table: Table, column: Attribute) -> None:
        used = sum(column.name in key.attributes for key in table.keys)
        if used:
            raise errors.component_in_use("Attribute", column.name, used)
        gone = {column.name, *definitions.companions(column)}
        kept = tuple(each for each in table.attributes if each.name not in gone and each.attribute_of not in gone)
        self._organisation.define(replace(table, attributes=kept))

    def _check(self, request: Request) -> None:
        """The user may change definitions, and not within a change set, which could not take them back."""
        if not self._organisation.switches.may_customize:
            raise errors.missing_global_privilege("prvWriteEntity", USER_ID)
        if self._organisation.store.connection.in_transaction:
            raise errors.bad_query("The sandbox changes no definitions within a change set.")
        self._prefixes(request)

    def _prefixes(self, request: Request) -> Sequence[str]:
        """The prefixes that new names may have: of the solution that is named, or of any."""
        solutions = self._organisation.switches.solutions
        named = request.headers.get("mscrm.solutionuniquename") or request.params.get("SolutionUniqueName")
        if named is None:
            return tuple(solutions.values())
        if named not in solutions:
            raise errors.unknown_definition("solution", named)
        return (solutions[named],)

    def _changeable(self, request: Request, parts: Mapping[str, str]) -> Table:
        self._check(request)
        table = definitions.table_by(self._organisation.tables, parts["table"])
        if table is None:
            raise errors.unknown_table(definitions.named_in(parts["table"]))
        return table

    def _named(self, name: Any) -> Table:
        table = self._organisation.tables.get(str(name))
        if table is None:
            raise errors.unknown_table(str(name))
        return table

    def _column(self, table: Table, text: str) -> Attribute:
        column = definitions.column_by(table, text)
        if column is None:
            raise errors.unknown_attribute(definitions.named_in(text))
        return column


def _created(address: str) -> Reply:
    return Reply(204, b"", {"OData-EntityId": address})
