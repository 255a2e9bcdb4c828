"""`vampd receive ...`: the receiving end, with settings and a ledger of its own."""
