"""The right answers, and how many of the server's were right."""
