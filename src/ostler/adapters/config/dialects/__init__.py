"""The dialects of MCP client configuration: what each client's keys, variables and files mean, and what Ostler does.

The tables (`keys`, `variables`, `entry_places`, `file_limits`) are the one place for this: the reader, docs/clients.md
and the tests walk them. Nothing here reads a disk or expands a variable; `entry_loader` does, from the entries in
Ostler's own keys that come out of here.
"""
