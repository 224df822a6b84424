#!/usr/bin/env bash
# Guess: a second process that opens the same folder is refused, or both see what is there; a server on a port in use fails; an
#        id that exists is refused or replaced, a missing one is not deleted, another distance makes another collection.
# Seen:  two clients of one folder work side by side. What the other one added is in `count` and `get`, and not in `query`, even
#        if it is the nearest by far, until the process adds something itself; two servers of a folder behave the same. `chroma
#        run` on a port in use ends with status 0. `add` of an existing id is ignored, with no error; `delete` of a missing one
#        is "deleted: 1"; get_or_create_collection with cosine returns the l2 collection that exists.
# With:  chromadb 1.5.9 (PyPI).
# Why:   a dev server and a script that indexes share the folder: the search stays without the new documents, and every count is
#        right. A supervisor takes the server that never listened for one that has finished.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install chromadb==1.5.9
export ANONYMIZED_TELEMETRY=False
taken=$(free_port)
python3 -m http.server "$taken" --bind 127.0.0.1 >/dev/null 2>&1 &
wait_for 20 listens "$taken"
code=0
bounded 60 chroma run --path unused --host 127.0.0.1 --port "$taken" >taken.log 2>&1 || code=$?
observed "chroma run on a port in use: status $code, $(grep -o 'is not available' taken.log | head -1)"
[ "$code" = 0 ] && grep -q 'is not available' taken.log || verdict 1
first=$(free_port) second=$(free_port)
for port in "$first" "$second"; do
    chroma run --path served --host 127.0.0.1 --port "$port" >"$port.log" 2>&1 &
    wait_for 60 listens "$port" || unable "chroma did not come up: $(tail -1 "$port.log")"
done
PYTHON="$WORK/venv/bin/python" judge 100 "$first" "$second" <<'PY'
import sys

import chromadb
from wire import *

NEAR = [[0.0, 1.0]]


def seen(notes):
    return {"count": notes.count(), "get": sorted(notes.get()["ids"]), "query": sorted(notes.query(query_embeddings=NEAR, n_results=min(notes.count(), 9))["ids"][0])}


def trial(mine, add_elsewhere):
    notes = mine.get_or_create_collection("notes")
    notes.add(ids=["far"], embeddings=[[50.0, 0.0]], documents=["first"])
    seen(notes)
    add_elsewhere()
    before = seen(notes)
    notes.add(ids=["own"], embeddings=[[60.0, 0.0]])
    return before, seen(notes), notes


ADD = 'notes.add(ids=["near"], embeddings=[[0.0, 1.0]])'
other = chromadb.HttpClient("127.0.0.1", int(sys.argv[2]))


def by_other_server():
    notes = other.get_or_create_collection("notes")
    notes.query(query_embeddings=NEAR, n_results=1)
    notes.add(ids=["near"], embeddings=NEAR)


def by_other_process():
    subprocess.run([sys.executable, "-c", f'import chromadb\nnotes = chromadb.PersistentClient("folder").get_collection("notes")\n{ADD}'], check=True, timeout=60)


client = chromadb.PersistentClient("folder")
lives = {"two processes": trial(client, by_other_process), "two servers": trial(chromadb.HttpClient("127.0.0.1", int(sys.argv[1])), by_other_server)}
for name, (before, after, _) in lives.items():
    show(f"{name}: after the other one's add {before}; after an add of its own {after}")
notes = lives["two processes"][2]
notes.add(ids=["far"], embeddings=[[1.0, 0.0]], documents=["again"])
kept = notes.get(ids=["far"])["documents"]
gone = notes.delete(ids=["missing"])
space = client.get_or_create_collection("notes", configuration={"hnsw": {"space": "cosine"}}).configuration["hnsw"]["space"]
show(f"an id added again keeps {kept}; delete of a missing one: {gone}; the collection with cosine: {space}")
late = {"count": 2, "get": ["far", "near"], "query": ["far"]}
both = {"count": 3, "get": ["far", "near", "own"], "query": ["far", "near", "own"]}
finish(*((life[:2] == (late, both), name) for name, life in lives.items()), (kept == ["first"], "an id that exists"),
       (gone == {"deleted": 1}, "a missing id"), (space == "l2", "the distance"))
PY
