"""The flat server, asked by a client that takes long for what it does."""
