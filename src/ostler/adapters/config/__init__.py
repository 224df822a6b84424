"""Configuration files: `mcp.json` as people copy it between MCP clients."""
