#!/usr/bin/env bash
# Guess: a server in front of a daemon that is not running fails its calls with isError; its list tool then answers an
#        error, not something that looks like a list without the thing looked for.
# Seen:  every call, the list, a stop, even a tool that does not exist, answers the sentence "Failed to connect to …" with
#        isError false. `initialize`, tools/list and ping succeed. mcp-server-sqlite answers a missing table, a refused
#        statement and an unknown tool in the same way: a sentence, isError false.
# With:  supervisord-mcp 1.0.0, circus-mcp 1.0.7, mcp-server-sqlite 2025.4.25 on mcp 1.30.0 (PyPI).
# Why:   whoever looks for a name in the list's text concludes that it is gone when only the daemon is; "no error" and
#        "not found in the answer" are two facts, and neither was given here.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install supervisord-mcp==1.0.0 circus-mcp==1.0.7 mcp-server-sqlite==2025.4.25 mcp==1.30.0

judge 90 <<'PY'
from wire import *

facts = []


def ask(server, tool, arguments):
    result = server.call(tool, arguments)["result"]
    return result["isError"], text_of(result)


for name in ("supervisord-mcp", "circus-mcp"):
    server = Stdio(name, "mcp")
    server.hello()
    seen = {tool: ask(server, tool, arguments) for tool, arguments in
            (("list_processes", {}), ("stop_process", {"name": "web"}), ("no_such_tool", {}))}
    server.kill()
    show(f"{name} without its daemon: {seen}")
    facts.append((all(not error and text.startswith("Failed to connect") for error, text in seen.values()), name))
server = Stdio("mcp-server-sqlite", "--db-path", "x.db")
server.hello()
seen = {query: ask(server, "read_query", {"query": query}) for query in ("select * from missing", "create table t(a int)")}
seen["no_such_tool"] = ask(server, "no_such_tool", {"a": 1})
server.kill()
show(f"mcp-server-sqlite: {seen}")
facts.append((all(not error for error, _ in seen.values()), "mcp-server-sqlite"))
finish(*facts)
PY
