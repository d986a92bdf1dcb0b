"""What tests of both directions share: the jobs contacts-to-annex and loyalty-to-d365, in this process."""

from __future__ import annotations

import contextlib
import io
import json

from support import tap_config, target_config

from annex_d365.annexcloud.fields import same
from annex_d365.dataverse.connect import connect
from annex_d365.dataverse.query import Query
from annex_d365.dataverse.writes.provision import apply, plan
from annex_d365.fields import CONTACT_COLUMNS, DEFAULT_PREFIX, Group
from annex_d365.provision import loyalty_tables
from annex_d365_sandbox.annexcloud.balances import points, tiers
from tap_annex.tap import TapAnnex
from tap_d365.tap import TapD365
from target_annex.target import TargetAnnex, TargetD365

#: Where the paths of posts end that only read.
READING = ("token", "search", "getbulkpoints", "bulktiers")
#: Contact's column -> member's field, of what Annex Cloud owns by default.
LOYALTY = {
    "cr0dd_loyaltystatus": "status",
    "cr0dd_availablepoints": "availablePoints",
    "cr0dd_earnedpoints": "lifetimePoints",
    "cr0dd_currenttier": "currentTier",
}
#: Member's field -> contact's column, of what Dynamics 365 owns.
IDENTITY = {each.field: each.column(DEFAULT_PREFIX) for each in CONTACT_COLUMNS if each.group is Group.IDENTITY}


class Pair:
    """Both jobs with one ledger, between services as seeded, and provisioned.

    Args:
        sandbox: both services.
        directory: for the ledger and the rejects.
        settings: of both targets.
    """

    def __init__(self, sandbox, directory, **settings):
        sandbox.control.reset()
        self.sandbox, self.site, self.organisation = sandbox, sandbox.site, sandbox.organisation
        self.dataverse = connect(tap_config(sandbox))
        apply(self.dataverse, plan(self.dataverse, loyalty_tables()))
        self.directory, self.settings = directory, settings
        self.states, self.reports = {}, {}

    def run(self, *jobs, **settings):
        """Run jobs, both by default; what they wrote, as (method, path)."""
        self.sandbox.control.log.clear()
        for job in jobs or (self.contacts_to_annex, self.loyalty_to_d365):
            job(**settings)
        return [
            (entry["method"], entry["path"])
            for entry in self.sandbox.control.log.entries()
            if entry["method"] != "GET" and not entry["path"].endswith(READING)
        ]

    def contacts_to_annex(self, **settings):
        """The job of that name, with deletions."""
        tables = [{"name": "contacts", "replication": "LOG_BASED"}]
        tap = TapD365(config=tap_config(self.sandbox, tables=tables), state=self.states.get("contacts"))
        both = {"organization_url": self.sandbox.info["url"], **self._settings(settings)}
        config = target_config(self.sandbox, self.directory, enrol="flagged", **both)
        self._pipe("contacts", tap, TargetAnnex(config=config))

    def loyalty_to_d365(self, **settings):
        """The job of that name; of activities, others test enough."""
        info = self.sandbox.info
        config = {**info["annex"], "ca_bundle": info["ca_bundle"], "members": {"by": "search"}}
        catalog = TapAnnex(config=dict(config)).catalog_dict
        for entry in catalog["streams"]:
            for each in entry["metadata"]:
                if not each["breadcrumb"]:
                    each["metadata"]["selected"] = entry["tap_stream_id"] == "members"
        tap = TapAnnex(config=config, catalog=catalog, state=self.states.get("members"))
        paths = target_config(self.sandbox, self.directory)
        shared = ("ledger_url", "rejects_path", "base_url", "site_id")
        target = {name: paths[name] for name in shared} | tap_config(self.sandbox)
        self._pipe("members", tap, TargetD365(config={**target, **self._settings(settings)}))

    def _settings(self, more):
        # Some contacts of the seed share their address; they are rejected.
        return {"max_reject_percent": 100, **self.settings, **more}

    def _pipe(self, stream, tap, target):
        read, printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True), io.StringIO()
        with contextlib.redirect_stdout(read):
            tap.sync_all()
        with contextlib.redirect_stdout(printed):
            target.listen(io.StringIO(read.buffer.getvalue().decode()))
        states = [json.loads(line) for line in printed.getvalue().splitlines()]
        self.states[stream] = states[-1] if states else self.states.get(stream)
        self.reports[stream] = target.report(stream)

    def counts(self, stream):
        """Outcome, as the last report names it -> rows."""
        return {outcome.value: count for outcome, count in self.reports[stream].counts.items()}

    def contacts(self):
        """Active contacts with a loyalty id, by it, as the service shows them."""
        select = ("contactid", "cr0dd_loyaltyid", *IDENTITY.values(), *LOYALTY)
        rows = self.dataverse.rows(Query("contacts", select, "statecode eq 0 and cr0dd_loyaltyid ne null"))
        return {row["cr0dd_loyaltyid"]: row for row in rows}

    def linked(self):
        """Pairs of a contact and its member, in a stable order."""
        contacts = self.contacts()
        return [(contacts[each["id"]], each) for each in self.site.members() if each["id"] in contacts]

    def edit_contact(self, contact, **columns):
        self.organisation.update("contact", contact["contactid"], columns)

    def edit_member(self, member, **fields):
        self.site.update_member(member["id"], fields)

    def differences(self):
        """(loyalty id, field) where a side does not have what the owner of the field says, by default."""
        found = []
        for contact, member in self.linked():
            found += [
                (member["id"], field)
                for field, column in IDENTITY.items()
                if contact[column] and not same(field, contact[column], member[field])
            ]
            owned = {**member, **points(self.site, member), **tiers(self.site, member)}
            found += [(member["id"], field) for column, field in LOYALTY.items() if contact[column] != owned[field]]
        return found
