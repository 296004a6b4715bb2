"""FalkorDB: a module of Redis; vectors and edges of nodes, asked in Cypher over RESP."""
