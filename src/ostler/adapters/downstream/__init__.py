"""Downstream servers: the pool of MCP connections, each supervised by one owner task."""
