"""Layer 5, the faces: the MCP server, the background server process, the bridge and the command line."""
