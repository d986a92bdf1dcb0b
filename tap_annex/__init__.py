"""A Singer tap for the Annex Cloud Loyalty API."""
