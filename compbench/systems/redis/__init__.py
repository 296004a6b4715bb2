"""Redis with its query engine, RediSearch: vectors in hashes, an HNSW index, over RESP."""
