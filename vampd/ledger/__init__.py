"""The SQLite ledger: the only memory, written by one connection in one process."""
