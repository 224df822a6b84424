#!/usr/bin/env bash
# Guess: `read_text_file` of a log with tail 1 gives its last line, with tail 2 the last two, as `tail -n` does; a file that is hard
#        linked is still one file after an edit.
# Seen:  the last line is what follows the last line break, which is nothing: tail 1 is an empty text, tail 2 is one line. `head` 2 is
#        two lines. `edit_file` and `write_file` put a new file in the old one's place: its other name keeps the old content. A
#        symbolic link and the mode stay as they were.
# With:  @modelcontextprotocol/server-filesystem 2026.8.31 (npm), Node 20.
# Why:   "the last line of the log" reads as "nothing was written yet"; an edit through one name of a file that a tool such as
#        pnpm, or a backup by hard links, shares is not seen under the others.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install @modelcontextprotocol/server-filesystem@2026.8.31
judge 60 <<'PY'
import os

from wire import *

folder = os.path.realpath("files")
os.mkdir(folder)
log, run, other, link = (f"{folder}/{name}" for name in ("log", "run.sh", "other", "link"))


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def read(path):
    with open(path) as file:
        return file.read()


write(log, "one\ntwo\nfailed\n")
write(run, "echo one\n")
os.chmod(run, 0o755)
os.link(run, other)
os.symlink("run.sh", link)
server = Stdio("mcp-server-filesystem", folder)
server.hello()


def said(tool, **arguments):
    result = server.call(tool, arguments)["result"]
    return text_of(result), bool(result.get("isError"))


tails = {count: said("read_text_file", path=log, tail=count) for count in (1, 2)}
head = said("read_text_file", path=log, head=2)
whole = said("read_text_file", path=log)
show(f"file: {whole[0]!r}; tail 1: {tails[1][0]!r}, tail 2: {tails[2][0]!r}, head 2: {head[0]!r}")
edited = said("edit_file", path=run, edits=[{"oldText": "one", "newText": "two"}])
show(f"edited: {read(run)!r}, under its other name: {read(other)!r}, mode {oct(os.stat(run).st_mode & 0o777)}")
written = said("write_file", path=link, content="echo three\n")
show(f"written through a link: {read(run)!r}, still a link: {os.path.islink(link)}")
finish((tails == {1: ("", False), 2: ("failed\n", False)}, "tail"), (head == ("one\ntwo", False), "head"),
       (read(other) == "echo one\n" and not edited[1], "the hard link"),
       (read(run) == "echo three\n" and os.path.islink(link) and os.stat(run).st_mode & 0o777 == 0o755 and not written[1], "link and mode"))
PY
