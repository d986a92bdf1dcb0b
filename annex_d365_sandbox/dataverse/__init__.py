"""A Dynamics 365 organisation: rows in SQLite behind the Dataverse Web API."""
