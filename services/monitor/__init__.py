"""The monitor: windowed figures over the ledger, the chain of entries, lag, alerts."""
