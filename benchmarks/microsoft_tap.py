"""Reads a table with Microsoft's client: ``python microsoft_tap.py URL TOKEN TABLE [COLUMNS]``.

The client reads, and lines are written as its users would: its records are dictionaries, one ``json.dumps`` each.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from azure.core.credentials import AccessToken
from PowerPlatform.Dataverse.client import DataverseClient
from rerouted import carry_https_to

url, token, table, *columns = sys.argv[1:]
#: It takes no plain http.
ADDRESS = "https://organisation.crm.dynamics.com"


class Credential:
    """A token that is there already: to sign in is not what is measured."""

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        """As azure-identity's."""
        return AccessToken(token, int(time.time()) + 3600)


carry_https_to(url)
with DataverseClient(ADDRESS, Credential()) as client:
    for page in client.records.list_pages(table, select=columns[0].split(",") if columns else None, page_size=5000):
        for record in page:
            sys.stdout.write(json.dumps(record.data) + "\n")
