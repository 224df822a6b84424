"""Real MCP client libraries, and the official conformance suite, over a real Ostler."""
