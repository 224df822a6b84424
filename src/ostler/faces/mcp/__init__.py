"""The MCP face: Ostler's tools, resources and prompts on the SDK's low-level server."""
