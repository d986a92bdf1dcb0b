"""Both services, local: a Dynamics 365 organisation with its sign-in, and an Annex Cloud site.

The sandbox follows the published behaviour of the services and shares no code with the connector, so that the two
cannot share a mistake. ``docs/sandbox.md`` says what is documented behaviour, what an assumption, what is missing.
"""
