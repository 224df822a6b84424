"""Layer 5, the faces: the MCP server, the background server process, the bridge and the command line.

Modules directly in here are what several faces share; what only one needs is in its folder.
"""
