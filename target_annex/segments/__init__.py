"""Segments and their members, from one service into the other."""
