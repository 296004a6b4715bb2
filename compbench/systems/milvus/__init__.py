"""Milvus standalone: the server of its Python package, asked by gRPC."""
