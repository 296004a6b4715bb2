"""Neo4j Community: nodes with a vector, a Lucene vector index, edges; asked in Cypher over its HTTP Query API."""
