"""The one memory: one file or folder a kind of ledger."""
