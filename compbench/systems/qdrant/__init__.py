"""Qdrant: a release binary of its own, asked over its REST interface."""
