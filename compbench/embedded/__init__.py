"""The embedded server: a small real server of Engram's HTTP interface, on a vector index."""

__version__ = "0.1.0"
# To be raised whenever a snapshot holds something else, or the index is built otherwise: kept data sets are made anew.
SNAPSHOT_FORMAT = 2
