"""Every reading of the machine: the one place that asks it."""
