"""An Annex Cloud site: the Loyalty REST API 3.0 below ``/api/3.0/`` (Annex page sections 2 to 10).

``urls`` (routes and what each GET signs), ``token`` (the request token), ``replies`` (what all replies share);
``responses``, ``points_responses``, ``segment_responses`` (requests in, replies out); ``models`` (the site and its
members), ``activities`` with ``points`` and ``balances``, ``segments`` with ``rules``, ``merges`` (state and rules);
``fields``, ``segment_fields`` and ``search`` (values and criteria); ``catalogue`` (what a site has configured) and
``history`` (what seeded members did); ``switches`` (what the documents leave open), ``errors``.
"""
