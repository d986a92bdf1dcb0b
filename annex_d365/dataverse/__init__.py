"""Everything that knows the Dataverse Web API."""
