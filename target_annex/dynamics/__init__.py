"""Rows into tables of Dynamics 365."""
