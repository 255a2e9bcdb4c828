"""Which work is due, when, and the processes that do it."""
