"""Table ``contact``: the part of the standard table that retailers use, and the loyalty columns of the integration."""

from __future__ import annotations

from annex_d365_sandbox.dataverse import columns as col
from annex_d365_sandbox.dataverse import schema
from annex_d365_sandbox.dataverse.schema import Table

_ALLOW = ("Allow", "Do Not Allow")


def _address(n: int) -> tuple[schema.Attribute, ...]:
    p = f"address{n}_"
    return (
        col.guid(f"{p}addressid"),
        col.text(f"{p}name", 200),
        col.text(f"{p}line1", 250),
        col.text(f"{p}line2", 250),
        col.text(f"{p}line3", 250),
        col.text(f"{p}city", 80),
        col.text(f"{p}stateorprovince", 50),
        col.text(f"{p}postalcode", 20),
        col.text(f"{p}country", 80),
        col.text(f"{p}county", 50),
        col.text(f"{p}telephone1", 50),
        col.memo(f"{p}composite", 1000, **col.READ_ONLY),
        col.double(f"{p}latitude", 90),
        col.double(f"{p}longitude", 180),
    )


CONTACT = Table(
    logical_name="contact",
    set_name="contacts",
    schema_name="Contact",
    label="Contact",
    object_type_code=2,
    primary_name="fullname",
    computed_name=("firstname", "middlename", "lastname"),
    attributes=col.with_shadows(
        (
            col.primary_id("contactid"),
            col.text("firstname", 50, schema_name="FirstName"),
            col.text("middlename", 50, schema_name="MiddleName"),
            col.text("lastname", 50, schema_name="LastName", required="ApplicationRequired"),
            col.text("fullname", 160, schema_name="FullName", **col.READ_ONLY),
            col.text("nickname", 100),
            col.text("salutation", 100),
            col.text("suffix", 10),
            col.text("jobtitle", 100),
            col.text("department", 100),
            col.text("employeeid", 50),
            col.text("externaluseridentifier", 50),
            col.text("emailaddress1", 100, schema_name="EMailAddress1"),
            col.text("emailaddress2", 100, schema_name="EMailAddress2"),
            col.text("emailaddress3", 100, schema_name="EMailAddress3"),
            col.text("mobilephone", 50, schema_name="MobilePhone"),
            col.text("telephone1", 50),
            col.text("telephone2", 50),
            col.text("telephone3", 50),
            col.text("fax", 50),
            col.text("websiteurl", 200),
            *_address(1),
            col.date("birthdate", schema_name="BirthDate"),
            col.date("anniversary"),
            col.choice("gendercode", {1: "Male", 2: "Female"}),
            col.choice("familystatuscode", {1: "Single", 2: "Married", 3: "Divorced", 4: "Widowed"}),
            col.choice(
                "preferredcontactmethodcode", {1: "Any", 2: "Email", 3: "Phone", 4: "Fax", 5: "Mail"}, default=1
            ),
            col.choice("customertypecode", {1: "Default Value"}, default=1),
            col.choice("leadsourcecode", {1: "Default Value"}, default=1),
            col.boolean("donotemail", _ALLOW),
            col.boolean("donotbulkemail", _ALLOW),
            col.boolean("donotphone", _ALLOW),
            col.boolean("donotfax", _ALLOW),
            col.boolean("donotpostalmail", _ALLOW),
            col.boolean("donotsendmm", ("Send", "Do Not Send")),
            col.boolean("followemail", ("Do Not Allow", "Allow"), default=True),
            col.boolean("creditonhold"),
            *col.money("creditlimit", 100_000_000_000),
            *col.money("annualincome", 100_000_000_000),
            col.decimal("exchangerate", 10, 100_000_000, **col.READ_ONLY),
            col.lookup("transactioncurrencyid", {"transactioncurrency": "transactioncurrencyid"}),
            col.integer("numberofchildren", 0, 1_000_000_000),
            col.lookup(
                "parentcustomerid",
                {"account": "parentcustomerid_account", "contact": "parentcustomerid_contact"},
                schema.CUSTOMER,
            ),
            col.memo("description", 2000),
            *col.image("entityimage"),
            col.text("cr0dd_loyaltyid", 100, schema_name="cr0dd_LoyaltyId"),
            col.boolean("cr0dd_loyaltyenrol", schema_name="cr0dd_LoyaltyEnrol"),
            col.choices(
                "cr0dd_interests",
                {
                    1: "Fashion",
                    2: "Home",
                    3: "Sports",
                    4: "Beauty",
                    5: "Toys",
                    6: "Food",
                    7: "Garden",
                    8: "Electronics",
                },
                schema_name="cr0dd_Interests",
            ),
            *col.standard(),
        )
    ),
)
