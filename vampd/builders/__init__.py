"""Builders: other hosts that build cubes, with Dask between them and the daemon."""
