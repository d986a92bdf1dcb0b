"""Segments of Dynamics 365 Marketing and their members, of both generations (Dataverse page 8)."""
