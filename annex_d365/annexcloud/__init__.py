"""The Annex Cloud Loyalty API 3.0. Facts, conflicts and assumptions: ``Annex page`` of the reference."""
