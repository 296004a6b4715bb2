"""The embedded server: a small real server of Engram's HTTP interface, on a vector index."""

__version__ = "0.1.0"
# To be raised whenever a snapshot holds something else, or the index is built otherwise: kept data sets are made anew.
SNAPSHOT_FORMAT = 2
LEAST_DIMENSION, MOST_DIMENSION = 2, 4096
# Vectors of fewer dimensions are kept as 32 bit floats, others as 16 bit ones.
FROM_DIMENSION_IN_16_BITS = 256


def bytes_a_number(dimension: int) -> int:
    """Return how many bytes each number of a vector of so many dimensions takes."""
    return 2 if dimension >= FROM_DIMENSION_IN_16_BITS else 4
