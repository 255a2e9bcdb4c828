"""Giving back the space of nights that are safe elsewhere."""
