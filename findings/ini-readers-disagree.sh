#!/usr/bin/env bash
# Guess: `key = value` below `[section]` is the same text to each reader of INI files, or an error; comments begin a line, or follow a space.
# Seen:  no two of seven agree on twelve files. `key = 8080 ; the port` is 8080, or the whole text; `a # b` likewise, and not by the
#        same readers. `a;b`, as in a URL or a list of paths, is "a" to git and to both that are named ini; `#fff` is nothing to
#        them and to ConfigObj. Quotes stay or go. configparser refuses `50%` and a second key or section of one name, which four merge.
#        A second, indented line continues the value, is dropped without an error, or is one. KEY is key, or not there.
# With:  CPython 3.11 (configparser), configobj 5.0.9, iniparse 0.5.3 (PyPI), git 2.39.5 (Debian 12), ini 6.0.0, js-ini 1.6.0 (npm),
#        gopkg.in/ini.v1 1.68.0 (Go).
# Why:   a program that reads or checks another one's INI file with a library gets another port, password or command than that program.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need node go git
version_is git "$(git --version | sed 's/git version //')" 2.39.5
pip_install configobj==5.0.9 iniparse==0.5.3
npm_install ini@6.0.0 js-ini@1.6.0
go_build go-ini gopkg.in/ini.v1@v1.68.0 <<'GO'
package main

import (
	"encoding/json"
	"os"

	"gopkg.in/ini.v1"
)

func main() {
	var texts []string
	if err := json.NewDecoder(os.Stdin).Decode(&texts); err != nil {
		panic(err)
	}
	values := []any{}
	for _, text := range texts {
		file, err := ini.Load([]byte(text))
		if err != nil {
			values = append(values, "error")
		} else if section := file.Section("web"); section.HasKey("key") {
			values = append(values, section.Key("key").String())
		} else {
			values = append(values, nil)
		}
	}
	json.NewEncoder(os.Stdout).Encode(values)
}
GO
cat >readers.js <<'JS'
const parsers = { ini: require("ini").parse, "js-ini": require("js-ini").parse };
const texts = JSON.parse(require("fs").readFileSync(0));
const attempt = (act) => { try { return act(); } catch { return "error"; } };
console.log(JSON.stringify(Object.entries(parsers).map(([, parse]) => texts.map((text) => attempt(() => parse(text).web.key ?? null)))));
JS
export NODE_PATH="$WORK/node/node_modules"
PYTHON=python judge 60 <<'PY'
import configparser
import io

import configobj
import iniparse

from wire import *

LINES = ["key = 8080 ; the port", "key = a # b", "key = #fff", "key = a;b", 'key = "two words"', "key = 50%", "key = 1\nkey = 2",
         "key = one\n  two", "key: yes", "key", "KEY = 1", "key = 1\n[web]\nother = 2"]
TEXTS = ["[web]\n" + line + "\n" for line in LINES]


def with_configparser(text):
    parser = configparser.ConfigParser()
    parser.read_string(text)
    return parser["web"].get("key")


def with_git(text):
    with open("git.ini", "w") as file:
        file.write(text)
    read = subprocess.run(["git", "config", "--file", "git.ini", "web.key"], capture_output=True, text=True)
    return read.stdout[:-1] if read.returncode == 0 else None if read.returncode == 1 else "error"


READERS = {"configparser": with_configparser, "configobj": lambda text: configobj.ConfigObj(io.StringIO(text))["web"].get("key"),
           "iniparse": lambda text: iniparse.INIConfig(io.StringIO(text))["web"]["key"], "git": with_git}


def attempt(read, text):
    try:
        return read(text)
    except Exception:
        return "error"


def outside(*command):
    return json.loads(subprocess.run(command, input=json.dumps(TEXTS), capture_output=True, text=True, check=True).stdout)


columns = {name: [attempt(read, text) for text in TEXTS] for name, read in READERS.items()}
columns["ini"], columns["js-ini"] = outside("node", "readers.js")
columns["go-ini"] = outside("./go-ini")
SEEN = [  # in the order of LINES: configparser, configobj, iniparse, git, ini, js-ini, go-ini
    ("8080 ; the port", "8080 ; the port", "8080", "8080", "8080", "8080 ; the port", "8080"),
    ("a # b", "a", "a # b", "a", "a", "a # b", "a"),
    ("#fff", "", "#fff", "", "", "#fff", ""),
    ("a;b", "a;b", "a;b", "a", "a", "a;b", "a"),
    ('"two words"', "two words", '"two words"', "two words", "two words", '"two words"', "two words"),
    ("error", "50%", "50%", "50%", "50%", "50%", "50%"),
    ("error", "error", "2", "2", "2", 2, "2"),
    ("one\ntwo", "error", "one\ntwo", "one", "one", "error", "error"),
    ("yes", "error", "yes", "error", None, "error", "yes"),
    ("error", "error", "error", "", True, "error", "error"),
    ("1", None, "1", "1", None, None, None),
    ("error", "error", "1", "1", "1", 1, "1"),
]
facts = []
for line, expected, seen in zip(LINES, SEEN, zip(*columns.values()), strict=True):
    show(f"{line!r}: " + ", ".join(f"{name} {value!r}" for name, value in zip(columns, seen)))
    facts.append((seen == expected, f"{line!r}: {seen}"))
names = list(columns)
alike = [(one, other) for number, one in enumerate(names) for other in names[number + 1:] if columns[one] == columns[other]]
finish(*facts, (not alike, f"these agree: {alike}"))
PY
