"""compbench: a competitive benchmark suite runner for database servers."""

__version__ = "0.1.0"
