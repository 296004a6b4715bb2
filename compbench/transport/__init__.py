"""How a driver's requests reach a server: connections with the clock read at both ends."""
