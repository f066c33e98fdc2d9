"""safe-reporting: multi-agency records, redacted and routed over Kafka. See docs/ for the design."""
