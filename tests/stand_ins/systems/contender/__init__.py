"""A rival that can be installed, run in a container, or be the user's own: the flat server, which may want a key."""
