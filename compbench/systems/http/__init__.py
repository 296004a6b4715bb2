"""Any system that is asked over HTTP, from a table of the settings alone."""
