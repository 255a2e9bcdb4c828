"""The earlier pipeline: its tables and results, and running beside it."""
