#!/usr/bin/env bash
# Guess: FASTMCP_PORT sets the port of each FastMCP, and a .env file is read by a program that asks for it.
# Seen:  FastMCP reads the .env of the folder in which it is started: its port comes from there, and a value that is none ends the
#        server before the first line of the program that follows the import, whatever the .env was made for. In the Python SDK 1,
#        whose settings have the same prefix, and in version 2 neither the variable nor the file has an effect: the port is 8000.
# With:  fastmcp 4.2.3, mcp 1.30.0 and 2.3.0 (PyPI).
# Why:   a supervisor that assigns ports by FASTMCP_PORT has two servers on 8000, and one that starts a server in a project's folder
#        waits at a port on which nothing listens.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
venv_install "$WORK/mcp-1" mcp==1.30.0
venv_install "$WORK/mcp-2" mcp==2.3.0
venv_install "$WORK/fastmcp" fastmcp==4.2.3
cat >server.py <<'PY'
import sys

if sys.argv[1] == "mcp-1":
    from mcp.server.fastmcp import FastMCP as Server
elif sys.argv[1] == "mcp-2":
    from mcp.server.mcpserver import MCPServer as Server
else:
    from fastmcp import FastMCP as Server
print("imported", flush=True)
Server("toy").run("http" if sys.argv[1] == "fastmcp" else "streamable-http")
PY
mkdir plain file wrong
port=$(free_port)
echo "FASTMCP_PORT=$port" >file/.env
echo "FASTMCP_DEBUG=everything" >wrong/.env
judge 120 "$port" <<'PY'
import re
import sys

from wire import *

wanted_port, work, facts = sys.argv[1], os.environ["WORK"], []


def start(name, folder, **env):
    """The port that it says it listens on, or the last line of an end."""
    process = subprocess.Popen((f"{work}/{name}/bin/python", f"{work}/server.py", name), cwd=folder, env={**os.environ, **env},
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        found = re.search(r"running on http://127\.0\.0\.1:(\d+)", line)
        if found or "address already in use" in line:
            process.kill()
            process.wait()
            return "the port asked for" if found and found[1] == wanted_port else "port 8000"
    return f"status {process.wait()}, " + ("imported" if "imported" in lines else "not imported")


for name, wanted in (("fastmcp", ("the port asked for", "the port asked for", "status 1, not imported")), ("mcp-1", ("port 8000",) * 3), ("mcp-2", ("port 8000",) * 3)):
    seen = start(name, "plain", FASTMCP_PORT=wanted_port), start(name, "file"), start(name, "wrong")
    show(f"{name}: with the variable: {seen[0]}; with it in .env: {seen[1]}; with FASTMCP_DEBUG=everything in .env: {seen[2]}")
    facts.append((seen == wanted, name))
finish(*facts)
PY
