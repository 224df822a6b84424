#!/usr/bin/env bash
# Guess: `search_files`, whose description promises a recursive search, finds sub/notes.txt for the pattern `*.txt`,
#        for the exact name `notes.txt` and for a part of the name.
# Seen:  none of the three finds it: patterns are matched against the path relative to the search root, so that
#        everything below the top folder needs `**/`. The answer is no error but "No matches found", in the structured
#        content too, where a list would be expected.
# With:  @modelcontextprotocol/server-filesystem 2026.8.31 (npm), Node 20.
# Why:   "none found" is read as a fact (a lock file, a config is absent) though nothing was looked at.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install @modelcontextprotocol/server-filesystem@2026.8.31
mkdir -p tree/sub && echo x >tree/top.txt && echo x >tree/sub/notes.txt

judge 60 <<'PY'
from wire import *

tree = os.path.abspath("tree")
server = Stdio("mcp-server-filesystem", tree)
server.hello()
described = next(tool for tool in server.request("tools/list", {})["result"]["tools"] if tool["name"] == "search_files")
promise = "recursive" in described["description"].lower()
show(f"the description speaks of a recursive search: {promise}")
found = {}
for pattern in ("*.txt", "notes.txt", "notes", "**/*.txt"):
    result = server.call("search_files", {"path": tree, "pattern": pattern})["result"]
    found[pattern] = "notes.txt" in text_of(result)
    show(f"{pattern!r}: {text_of(result).replace(tree, '').splitlines()} isError={result.get('isError', False)} "
         f"structured={type(result['structuredContent']['content']).__name__}")
server.kill()
finish((promise, "the description no longer promises recursion"),
       (not found["*.txt"] and not found["notes.txt"] and not found["notes"], "a nested file is found without '**/'"),
       (found["**/*.txt"], "'**/*.txt' does not find the nested file"))
PY
