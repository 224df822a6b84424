"""The built-in `process` server: local processes with logs, readiness and adoption, as MCP tools.

A process runs in a session of its own, writes straight to its log file and reads from nothing, so it outlives Ostler.
`records` remembers it durably, `trees` recognises it again, `supervisor` starts and ends it, `upkeep` looks after it,
`tools` and `server` make an MCP server of that.
"""

from ostler.adapters.process.server import build_process_server

__all__ = ["build_process_server"]
