"""The requests of a run and their moments: fixed by the seed before anything is sent."""

# To be raised whenever a seed makes other vectors or edges: kept data sets and exact neighbours are made anew.
VECTORS_FORMAT = 1
