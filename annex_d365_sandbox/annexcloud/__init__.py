"""An Annex Cloud site: the Loyalty REST API 3.0 below ``/api/3.0/`` (Annex page sections 2 to 5).

``urls`` (routes and what each GET signs), ``token`` (the request token), ``responses`` (requests in, replies out),
``models`` (state and rules), ``fields`` and ``search`` (values and criteria), ``switches`` (what the documents leave
open), ``errors``.
"""
