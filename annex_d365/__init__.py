"""What the taps and the target know about the two services, and what the Singer SDK leaves open.

``dataverse`` knows the Dataverse Web API, ``annexcloud`` the Annex Cloud Loyalty API, ``http`` what both share,
``singer`` the protocol between them. Nothing here imports a tap, the target or the sandbox.
"""
