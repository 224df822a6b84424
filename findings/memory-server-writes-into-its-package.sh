#!/usr/bin/env bash
# Guess: MEMORY_FILE_PATH=./memory.jsonl is a file of the folder in which the memory server was started, as relative paths are in
#        the filesystem server.
# Seen:  it is a file of the installed package, next to its program: the folder stays empty, two projects share one memory, and
#        `npm ci`, or npx with another version, loses it. A relative folder of the filesystem server is one of the folder in which
#        it was started; "a.txt" in a call is read in the first folder that it was given, wherever that is.
# With:  @modelcontextprotocol/server-memory 2026.8.31 and server-filesystem 2026.8.31 (npm), Node 20.
# Why:   a server for each project, with a working folder of its own, is how data is kept apart; what a model remembers of one
#        customer is answered to the next, and is gone after an update.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install @modelcontextprotocol/server-memory@2026.8.31 @modelcontextprotocol/server-filesystem@2026.8.31
mkdir -p one two/docs
echo "of the working folder" >two/a.txt
echo "of docs" >two/docs/a.txt
judge 60 <<'PY'
import glob

from wire import *

work = os.environ["WORK"]
first = Stdio("mcp-server-memory", env={"MEMORY_FILE_PATH": "./memory.jsonl"}, cwd="one")
first.hello()
first.call("create_entities", {"entities": [{"name": "invoice", "entityType": "note", "observations": ["of project one"]}]})
first.end_input()
second = Stdio("mcp-server-memory", env={"MEMORY_FILE_PATH": "./memory.jsonl"}, cwd="two")
second.hello()
seen = text_of(second.call("read_graph")["result"])
second.end_input()
written = [os.path.relpath(path, work) for path in glob.glob(f"{work}/**/memory.jsonl", recursive=True)]
show(f"written: {written}; in the working folder: {os.listdir('one')}")
show(f"the server in the other folder reads: {' '.join(seen.split())[:110]}")
read = {}
for folders in (("docs",), (".", "docs"), ("docs", ".")):
    server = Stdio("mcp-server-filesystem", *folders, cwd="two")
    server.hello()
    read[folders] = text_of(server.call("read_text_file", {"path": "a.txt"})["result"]).strip()
    server.end_input()
    show(f"filesystem server of {' '.join(folders)}: a.txt is {read[folders]!r}")
finish((written == ["node/node_modules/@modelcontextprotocol/server-memory/dist/memory.jsonl"] and os.listdir("one") == [], "where it is written"),
       ("of project one" in seen, "what the other one reads"),
       (list(read.values()) == ["of docs", "of the working folder", "of docs"], "the filesystem server"))
PY
