"""Table ``cr0dd_loyaltyactivity`` of the user's integration document."""

from __future__ import annotations

from annex_d365_sandbox.dataverse import columns as col
from annex_d365_sandbox.dataverse.schema import Table

LOYALTY_ACTIVITY = Table(
    logical_name="cr0dd_loyaltyactivity",
    set_name="cr0dd_loyaltyactivities",
    schema_name="cr0dd_LoyaltyActivity",
    label="Loyalty Activity",
    object_type_code=10201,
    primary_name="cr0dd_name",
    custom=True,
    attributes=col.with_shadows(
        (
            col.primary_id("cr0dd_loyaltyactivityid"),
            col.text("cr0dd_name", 100, schema_name="cr0dd_Name"),
            # The document selects columns without the publisher's prefix; its table must have had them.
            col.text("firstname", 100),
            col.text("lastname", 100),
            col.text("emailaddress1", 100),
            col.text("cr0dd_loyaltyid", 100, schema_name="cr0dd_LoyaltyId"),
            col.text("cr0dd_activityid", 100, schema_name="cr0dd_ActivityId"),
            col.text("cr0dd_activitytype", 100, schema_name="cr0dd_ActivityType"),
            col.integer("cr0dd_points", schema_name="cr0dd_Points"),
            col.decimal("cr0dd_amount", 2, schema_name="cr0dd_Amount"),
            col.datetime("cr0dd_activitydate", schema_name="cr0dd_ActivityDate"),
            # The navigation property of a custom lookup is its schema name (Dataverse page 5.1).
            col.lookup("cr0dd_contact", {"contact": "cr0dd_Contact"}, schema_name="cr0dd_Contact"),
            *col.standard(),
        )
    ),
)
