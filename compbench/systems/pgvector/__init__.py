"""PostgreSQL with the extension pgvector: a server that compbench starts, and the client of its wire protocol."""
