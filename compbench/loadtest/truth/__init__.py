"""What right answers are, and how many of the server's were right."""
