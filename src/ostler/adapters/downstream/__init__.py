"""Downstream servers: the pool of MCP connections, each supervised by one owner task.

The servers that we write are made in `serving`; entries of mcp.json are read in `config`.
"""
