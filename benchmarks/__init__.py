"""How fast the connector is, and how fast others are, side by side: ``make bench``."""
