"""The claims ledger, frozen reference numbers, and the report: what was published beside what a run found."""
