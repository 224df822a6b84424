#!/usr/bin/env bash
# Guess: an editor of TOML that keeps comments keeps each with what it is about: a key added to [a] goes to the end of
#        [a]'s keys, and removing [a] removes what stands above it, not what stands above [b].
# Seen:  the comment above a table's header belongs to the table before. A key added to [a] lands behind the comment
#        that introduces [b] (which then reads as the comment of the new key). Removing [a] deletes the comment about
#        [b] and leaves the one about [a] standing above [b]. A document in CRLF gets its new lines in LF.
# With:  tomlkit 0.15.2 (PyPI).
# Why:   tools that add and remove their entry in a person's configuration (here: [mcp_servers.x]) turn the comments of
#        neighbours into wrong statements; the values stay right, so that no test of values notices.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install tomlkit==0.15.2

judge 30 <<'PY'
import tomlkit

from wire import *

source = "# about a\n[a]\nx = 1\n\n# about b\n[b]\ny = 1\n"
document = tomlkit.parse(source)
document["a"]["new"] = 2
added = tomlkit.dumps(document)
show(f"a key added to [a]: {added!r}")
document = tomlkit.parse(source)
del document["a"]
removed = tomlkit.dumps(document)
show(f"[a] removed: {removed!r}")
document = tomlkit.parse("[a]\r\nx = 1\r\n")
document["a"]["y"] = 2
ends = tomlkit.dumps(document)
show(f"a key added to a document in CRLF: {ends!r}")
finish(("# about b\nnew = 2\n[b]" in added, "the new key stands before the comment of the next table"),
       (removed == "# about a\n[b]\ny = 1\n", "the right comment goes with the table"),
       (ends == "[a]\r\nx = 1\r\ny = 2\n", "line ends are kept"))
PY
