"""Tables that say which messages there are, with the columns that a client asks for (Dataverse page 5.3)."""

from __future__ import annotations

from annex_d365_sandbox.dataverse import columns as col
from annex_d365_sandbox.dataverse import schema
from annex_d365_sandbox.dataverse.schema import Table

_VERSION = schema.Attribute("versionnumber", schema.BIGINT, **col.READ_ONLY)

MESSAGE = Table(
    logical_name="sdkmessage",
    set_name="sdkmessages",
    schema_name="SdkMessage",
    label="Sdk Message",
    object_type_code=4606,
    primary_name="name",
    change_tracking=False,
    ownership="None",
    # Not for people's eyes: connectors that list tables for them leave it out.
    flags=frozenset({"IsPrivate"}),
    attributes=col.with_shadows((col.primary_id("sdkmessageid"), col.text("name", 256, **col.READ_ONLY), _VERSION)),
)

MESSAGE_FILTER = Table(
    logical_name="sdkmessagefilter",
    set_name="sdkmessagefilters",
    schema_name="SdkMessageFilter",
    label="Sdk Message Filter",
    object_type_code=4607,
    primary_name="name",
    change_tracking=False,
    ownership="None",
    flags=frozenset({"IsPrivate"}),
    attributes=col.with_shadows(
        (
            col.primary_id("sdkmessagefilterid"),
            col.text("name", 256, **col.READ_ONLY),
            col.lookup("sdkmessageid", {"sdkmessage": "sdkmessageid"}, **col.READ_ONLY),
            col.entity_name("primaryobjecttypecode", **col.READ_ONLY),
            _VERSION,
        )
    ),
)
