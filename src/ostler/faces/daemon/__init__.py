"""The server process: owns one state folder, listens on its local socket, and serves MCP to every client.

`python -m ostler.faces.daemon` is the server in the background; `foreground` holds the modes that run in a terminal,
a container or under systemd. What is served comes from outside as a `HostedSource`.
"""
