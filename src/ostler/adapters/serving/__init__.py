"""What the MCP servers that we write are made of: tools as a table, with their arguments, schemas, answers and errors.

No tool of either server is here: those of Ostler are in `ostler.faces.mcp`, those of `process` in its own folder.
"""
