"""Weaviate: the server built from its Go module, searched by gRPC and defined by REST."""
