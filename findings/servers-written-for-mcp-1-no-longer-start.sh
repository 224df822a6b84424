#!/usr/bin/env bash
# Guess: a server whose newest release installs without a complaint from the resolver also starts.
# Seen:  four that ask for "mcp" with no upper bound get mcp 2 and end at once with a traceback about a name that is
#        gone, before they read a byte; the client sees only a closed connection. The errors differ: three are
#        AttributeErrors, one an import error whose text happens to say what to do. With mcp<2 they start.
# With:  mcp 2.3.0; mcp-server-sqlite 2025.4.25, supervisord-mcp 1.0.0, circus-mcp 1.0.7, serial-mcp 0.3.0 (PyPI).
# Why:   the command of a README (`uvx mcp-server-sqlite`) has stopped working on new machines and after a cache is
#        cleared, with no change on anybody's side; `uvx --with 'mcp<2' …` is the way out.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
servers="mcp-server-sqlite==2025.4.25 supervisord-mcp==1.0.0 circus-mcp==1.0.7 serial-mcp==0.3.0"
# shellcheck disable=SC2086
venv_install "$WORK/new" $servers mcp==2.3.0
# shellcheck disable=SC2086
venv_install "$WORK/old" $servers mcp==1.30.0

judge 120 <<'PY'
from wire import *

commands = {"mcp-server-sqlite": ["--db-path", "x.db"], "supervisord-mcp": ["mcp"], "circus-mcp": ["mcp"], "serial-mcp": []}
facts = []
for name, arguments in commands.items():
    seen = {}
    for kind in ("new", "old"):
        server = Stdio(f"{os.environ['WORK']}/{kind}/bin/{name}", *arguments)
        try:
            answer = server.hello(timeout=30)
        except (BrokenPipeError, TimeoutError):
            answer = None
        status = server.exited(5) if answer is None else None
        time.sleep(0.2)
        seen[kind] = ("starts" if answer else f"ends with {status}", server.errors[-1][:110] if server.errors and not answer else "")
        server.kill()
    show(f"{name}: with mcp 2.3.0 {seen['new'][0]}: {seen['new'][1]}; with mcp 1.30.0 {seen['old'][0]}")
    facts += [(seen["new"][0] == "ends with 1", f"{name} with mcp 2: {seen['new']}"),
              (seen["old"][0] == "starts", f"{name} with mcp 1: {seen['old']}")]
finish(*facts)
PY
