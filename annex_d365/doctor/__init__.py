"""``annex-d365 doctor``: are settings, privileges and assumptions right on a user's own tenants? (docs/doctor.md)."""
