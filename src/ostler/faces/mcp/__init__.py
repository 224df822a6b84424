"""The MCP face: Ostler's tools, resources and prompts on the SDK's low-level server.

How arguments, schemas and errors are made is shared with the process server: `adapters.serving`.
"""
