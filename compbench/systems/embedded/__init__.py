"""The embedded server: small, real, of Engram's HTTP interface; for a machine without an Engram build."""
