"""How files are written; the floor that runner and driver share."""
