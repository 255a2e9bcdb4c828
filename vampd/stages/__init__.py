"""A room for each stage: prepare (ledger to plain values), work (files only), record."""
