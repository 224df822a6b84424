#!/usr/bin/env bash
# Guess: `edit_file` changes the text that it is told to change, and fails if that occurs more than once, as an agent's own
#        edit tools do; the rest of the file stays as it is, byte for byte.
# Seen:  the whole file is written again: each CRLF becomes LF, and each byte that is not UTF-8 becomes U+FFFD, for good, in
#        lines that have nothing to do with the edit. The diff that it answers shows only the edited line. Of several places
#        with the same text the first one is changed, without a word. Mode and symbolic link stay; a hard link is broken.
# With:  @modelcontextprotocol/server-filesystem 2026.8.31 (npm), Node 20.
# Why:   one edit of a .bat file, or of an old source in Latin-1, changes every line or loses its umlauts, and the answer is
#        a success whose diff does not show it; a port is changed in the wrong one of two services.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install @modelcontextprotocol/server-filesystem@2026.8.31
mkdir tree
judge 60 <<'PY'
from pathlib import Path

from wire import *

tree = Path("tree").resolve()
server = Stdio("mcp-server-filesystem", str(tree))
server.hello()


def edited(name, before, old, new):
    path = tree / name
    path.write_bytes(before)
    result = server.call("edit_file", {"path": str(path), "edits": [{"oldText": old, "newText": new}]})["result"]
    changed = [line for line in text_of(result).splitlines() if line[:1] in ("+", "-") and line[:3] not in ("+++", "---")]
    show(f"{name}: {before!r} became {path.read_bytes()!r}, isError {result.get('isError', False)}, its diff has {changed}")
    return path.read_bytes(), changed, result.get("isError", False)


windows = edited("start.bat", b"@echo off\r\nset PORT=80\r\npause\r\n", "PORT=80", "PORT=81")
latin = edited("old.ini", b"; f\xfcr B\xfcros\nport = 80\n", "port = 80", "port = 81")
twice = edited("two.ini", b"[web]\nport = 80\n[api]\nport = 80\n", "port = 80", "port = 81")
linked = tree / "one.txt"
linked.write_text("a\n")
os.link(linked, tree / "same.txt")
(tree / "symbolic.txt").symlink_to(linked)
server.call("edit_file", {"path": str(tree / "symbolic.txt"), "edits": [{"oldText": "a", "newText": "b"}]})
links = (tree / "symbolic.txt").is_symlink(), linked.read_text(), (tree / "same.txt").read_text()
server.kill()
show(f"through a symbolic link: still a link {links[0]}, its file has {links[1]!r}, a hard link of that {links[2]!r}")
finish((windows == (b"@echo off\nset PORT=81\npause\n", ["-set PORT=80", "+set PORT=81"], False), "CRLF"),
       (latin[0] == "; f\ufffdr B\ufffdros\nport = 81\n".encode() and latin[1:] == (["-port = 80", "+port = 81"], False), "Latin-1"),
       (twice[0] == b"[web]\nport = 81\n[api]\nport = 80\n" and not twice[2], "two places"),
       (links == (True, "b\n", "a\n"), "links"))
PY
