"""A system of another kind than Engram: frames over TCP, integers as ids, vectors of any dimension."""
