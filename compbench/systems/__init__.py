"""The systems under test, one folder each, and what they have in common: contract (`api`) and registry."""
