"""The bridge: what MCP clients launch. It joins their stdio to the one server that owns a state folder.

Standard library only, and little of it: the bridge has to be up in about 0.1 s. The daemon and the command
line share its modules `place`, `greeting`, `dialer` and `version`.
"""
