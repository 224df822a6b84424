#!/usr/bin/env bash
# Guess: a .env file means the same to every tool that reads it, quotes make a value safe, and the later of two lines counts.
# Seen:  of eight readers no two agree on seven lines. `V=a#b` is "a" in Node, dotenv and both runners of Procfiles, "a#b"
#        in the others. `V=pa$word` is "pa" to Compose and dotenvy. `V="{\"a\": 1}"` is `{\` in Node and node-foreman,
#        keeps its backslashes in dotenv, and is JSON in the others. `"a\nb"` is one line in node-foreman, two elsewhere.
#        Of two lines for one name dotenvy takes the first. `${NOPE:-text}` is text, empty, itself, or `:-text}`. A Windows
#        path loses its backslash in honcho and gains a line end in dotenvy.
# With:  Node 20's --env-file, dotenv 18.0.10 and foreman 3.0.1 (npm), python-dotenv 1.2.4 and honcho 2.0.0 (PyPI),
#        github.com/joho/godotenv 1.5.1, github.com/compose-spec/compose-go/v2 2.16.2 (Go 1.25 or newer), dotenvy 0.15.7
#        (a Rust crate).
# Why:   a password with # or $ works under one runner and fails under the next; what moves a project from Compose or a
#        Procfile to another supervisor has to read its .env as that one did.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need node go cargo
npm_install dotenv@18.0.10 foreman@3.0.1
pip_install python-dotenv==1.2.4 honcho==2.0.0
mkdir rust-reader rust-reader/src
go_build go-reader github.com/compose-spec/compose-go/v2@v2.16.2 github.com/joho/godotenv@v1.5.1 <<'GO'
package main

import (
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/joho/godotenv"
)

func main() {
	found, err := godotenv.Read(os.Args[2])
	if os.Args[1] == "compose" {
		found, err = dotenv.GetEnvFromFile(map[string]string{}, []string{os.Args[2]})
	}
	if err != nil {
		fmt.Print("error")
	} else {
		fmt.Print(found["V"])
	}
}
GO
printf '[package]\nname = "reader"\nversion = "1.0.0"\nedition = "2021"\n[dependencies]\ndotenvy = "=0.15.7"\n' >rust-reader/Cargo.toml
cat >rust-reader/src/main.rs <<'RS'
fn main() {
    match dotenvy::from_path(std::env::args().nth(1).unwrap()) {
        Ok(_) => print!("{}", std::env::var("V").unwrap()),
        Err(_) => print!("error"),
    }
}
RS
(cd rust-reader && HOME="$USER_HOME" timeout 300 cargo build -q) >cargo.log 2>&1 || { tail -3 cargo.log >&2; unable "the reader in Rust"; }
judge 120 <<'PY'
import sys
from pathlib import Path

from wire import *

READERS = {
    "Node": ["node", "--env-file=FILE", "-e", "process.stdout.write(process.env.V)"],
    "dotenv": ["node", "-e", "process.stdout.write(require('dotenv').parse(require('fs').readFileSync('FILE')).V)"],
    "node-foreman": ["nf", "run", "-e", "FILE", "--", "printenv", "V"],
    "python-dotenv": ["python", "-c", "import dotenv; print(dotenv.dotenv_values('FILE')['V'], end='')"],
    "honcho": ["python", "-c", "from honcho import environ; print(environ.parse(open('FILE').read())['V'], end='')"],
    "godotenv": ["./go-reader", "go", "FILE"],
    "Compose": ["./go-reader", "compose", "FILE"],
    "dotenvy": ["./rust-reader/target/debug/reader", "FILE"],
}
LINES = ["V=a#b", "V=pa$word", "V=${NOPE:-text}", r'V="{\"a\": 1}"', r'V="a\nb"', "V=first\nV=second", r"V=C:\new"]
EXPECTED = {
    "Node": ["a", "pa$word", "${NOPE:-text}", "{\\", "a\nb", "second", "C:\\new"],
    "dotenv": ["a", "pa$word", "${NOPE:-text}", r'{\"a\": 1}', "a\nb", "second", "C:\\new"],
    "node-foreman": ["a", "pa$word", "${NOPE:-text}", "{\\", r"a\nb", "second", "C:\\new"],
    "python-dotenv": ["a#b", "pa$word", "text", '{"a": 1}', "a\nb", "second", "C:\\new"],
    "honcho": ["a", "pa$word", "${NOPE:-text}", '{"a": 1}', "a\nb", "second", "C:new"],
    "godotenv": ["a#b", "pa$word", ":-text}", '{"a": 1}', "a\nb", "second", "C:\\new"],
    "Compose": ["a#b", "pa", "text", '{"a": 1}', "a\nb", "second", "C:\\new"],
    "dotenvy": ["a#b", "pa", "", '{"a": 1}', "a\nb", "first", "C:\new"],
}
environment = {**{k: v for k, v in os.environ.items() if k != "V"}, "NODE_PATH": f"{os.environ['WORK']}/node/node_modules"}
seen = {name: [] for name in READERS}
for number, line in enumerate(LINES):
    Path(f"{number}.env").write_text(line + "\n")
    for name, command in READERS.items():
        said = subprocess.run([word.replace("FILE", f"{number}.env") for word in command], env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30).stdout.decode()
        if name == "node-foreman":  # printenv ends its line, and nf says first what it loaded
            said = said.partition("Format\n")[2].removesuffix("\n")
        seen[name].append(said)
    show(f"{line!r}: " + ", ".join(f"{name} {seen[name][-1]!r}" for name in READERS))
agree = [(one, two) for one in seen for two in seen if one < two and seen[one] == seen[two]]
finish(*((seen[name] == EXPECTED[name], f"{name}: {seen[name]}") for name in READERS), (not agree, f"no two agree: {agree}"))
PY
