"""Plain data and its names; knows no process, clock or file."""
