"""A first class from the tools or the recorded calls of a server."""
