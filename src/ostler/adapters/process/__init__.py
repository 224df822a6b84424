"""The built-in `process` server: local processes with logs, readiness and adoption, as MCP tools.

A process runs in a session of its own and writes to its log through its keeper, so it outlives Ostler. `records` keeps
it on disk, `trees` recognises it again, `supervisor` starts and stops it, `upkeep` watches it; `tools` and `server`
make an MCP server of that.
"""
