"""The dashboard: one page in the browser or in an MCP client's chat, itself a client of Ostler's MCP server."""
