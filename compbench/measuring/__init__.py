"""One measurement, from cooldown to stopped server."""
