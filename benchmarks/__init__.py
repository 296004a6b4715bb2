"""Programs that measure compbench itself; each says in its docstring how it is run."""
