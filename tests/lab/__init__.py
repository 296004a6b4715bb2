"""Several hosts on this machine, each with a network, processes and clocks of its own, for tests."""
