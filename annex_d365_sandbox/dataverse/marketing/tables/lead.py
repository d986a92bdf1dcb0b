"""Table ``lead``: the part of the standard table that segments look at."""

from __future__ import annotations

from annex_d365_sandbox.dataverse import columns as col
from annex_d365_sandbox.dataverse.schema import Table

LEAD = Table(
    logical_name="lead",
    set_name="leads",
    schema_name="Lead",
    label="Lead",
    object_type_code=4,
    primary_name="fullname",
    computed_name=("firstname", "lastname"),
    attributes=col.with_shadows(
        (
            col.primary_id("leadid"),
            col.text("subject", 300, schema_name="Subject"),
            col.text("firstname", 50, schema_name="FirstName"),
            col.text("lastname", 50, schema_name="LastName"),
            col.text("fullname", 160, schema_name="FullName", **col.READ_ONLY),
            col.text("companyname", 100, schema_name="CompanyName"),
            col.text("emailaddress1", 100, schema_name="EMailAddress1"),
            col.text("mobilephone", 20, schema_name="MobilePhone"),
            col.text("address1_city", 80),
            col.text("address1_country", 80),
            col.lookup("parentcontactid", {"contact": "parentcontactid"}),
            *col.standard(
                {
                    (0, "Open"): {1: "New", 2: "Contacted"},
                    (1, "Qualified"): {3: "Qualified"},
                    (2, "Disqualified"): {4: "Lost", 5: "Cannot Contact", 6: "No Longer Interested", 7: "Canceled"},
                }
            ),
        )
    ),
)
