"""Tables that lookups point to, with the few columns that anyone asks for."""

from __future__ import annotations

from annex_d365_sandbox.dataverse import columns as col
from annex_d365_sandbox.dataverse import schema
from annex_d365_sandbox.dataverse.schema import Table

ACCOUNT = Table(
    logical_name="account",
    set_name="accounts",
    schema_name="Account",
    label="Account",
    object_type_code=1,
    primary_name="name",
    attributes=col.with_shadows(
        (
            col.primary_id("accountid"),
            col.text("name", 160, required="ApplicationRequired"),
            col.text("accountnumber", 20),
            col.text("emailaddress1", 100),
            col.text("telephone1", 50),
            col.text("websiteurl", 200),
            col.text("address1_line1", 250),
            col.text("address1_city", 80),
            col.text("address1_postalcode", 20),
            col.text("address1_country", 80),
            col.integer("numberofemployees", 0, 1_000_000_000),
            *col.money("revenue", 100_000_000_000_000),
            col.decimal("exchangerate", 10, 100_000_000, **col.READ_ONLY),
            col.lookup("transactioncurrencyid", {"transactioncurrency": "transactioncurrencyid"}),
            col.lookup("parentaccountid", {"account": "parentaccountid"}),
            col.lookup("primarycontactid", {"contact": "primarycontactid"}),
            col.memo("description", 2000),
            *col.standard(),
        )
    ),
)

BUSINESS_UNIT = Table(
    logical_name="businessunit",
    set_name="businessunits",
    schema_name="BusinessUnit",
    label="Business Unit",
    object_type_code=10,
    primary_name="name",
    change_tracking=False,
    ownership="BusinessOwned",
    attributes=col.with_shadows(
        (
            col.primary_id("businessunitid"),
            col.text("name", 160),
            col.boolean("isdisabled", **col.READ_ONLY),
            col.datetime("createdon", **col.READ_ONLY),
            col.datetime("modifiedon", **col.READ_ONLY),
            schema.Attribute("versionnumber", schema.BIGINT, **col.READ_ONLY),
        )
    ),
)

SYSTEM_USER = Table(
    logical_name="systemuser",
    set_name="systemusers",
    schema_name="SystemUser",
    label="User",
    object_type_code=8,
    primary_name="fullname",
    computed_name=("firstname", "lastname"),
    ownership="BusinessOwned",
    attributes=col.with_shadows(
        (
            col.primary_id("systemuserid"),
            col.text("firstname", 64),
            col.text("lastname", 64),
            col.text("fullname", 200, **col.READ_ONLY),
            col.text("domainname", 1024),
            col.text("internalemailaddress", 100),
            col.guid("azureactivedirectoryobjectid"),
            col.guid("applicationid"),
            col.boolean("isdisabled", ("Enabled", "Disabled"), **col.READ_ONLY),
            col.lookup("businessunitid", {"businessunit": "businessunitid"}),
            col.datetime("createdon", **col.READ_ONLY),
            col.datetime("modifiedon", **col.READ_ONLY),
            schema.Attribute("versionnumber", schema.BIGINT, **col.READ_ONLY),
        )
    ),
)

TRANSACTION_CURRENCY = Table(
    logical_name="transactioncurrency",
    set_name="transactioncurrencies",
    schema_name="TransactionCurrency",
    label="Currency",
    object_type_code=9105,
    primary_name="currencyname",
    ownership="OrganizationOwned",
    attributes=col.with_shadows(
        (
            col.primary_id("transactioncurrencyid"),
            col.text("currencyname", 100),
            col.text("isocurrencycode", 5),
            col.text("currencysymbol", 13),
            col.integer("currencyprecision", 0, 4),
            col.decimal("exchangerate", 10, 100_000_000),
            *col.standard(owned=False),
        )
    ),
)
