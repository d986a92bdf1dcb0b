"""Singer target for Annex Cloud."""
