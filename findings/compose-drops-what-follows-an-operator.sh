#!/usr/bin/env bash
# Guess: `command: npm run build && npm start` in a Compose file runs both, passes "&&" on as an argument, or is refused; a command
#        line that is split into words is the same list in each library.
# Seen:  Compose runs `npm run build`: everything from an unquoted ;, &, | or > on is dropped without a warning, also in the middle
#        of a word, so `http://web/?a=1&b=2` loses its second parameter. Of six splitters no two agree on ten lines: "a\b" is
#        a\b or ab, a backslash before a space is kept by string-argv, `a # b` has one to three words, and `color#1` is cut off
#        by shell-quote, which also returns objects among the words and takes an unclosed quote away.
# With:  github.com/compose-spec/compose-go/v2 2.16.2, github.com/google/shlex e7afc7fbc510, github.com/kballard/go-shellquote
#        95032a82bc51 (Go), shell-quote 1.12.0, string-argv 0.4.0 (npm), shlex of Python 3.11.
# Why:   a container ends with 0 after half of its command; what moves a command from one tool's file to another's has to split it as
#        the first one did.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need go node
npm_install shell-quote@1.12.0 string-argv@0.4.0
go_build reader github.com/compose-spec/compose-go/v2@v2.16.2 \
    github.com/google/shlex@v0.0.0-20191202100458-e7afc7fbc510 \
    github.com/kballard/go-shellquote@v0.0.0-20180428030007-95032a82bc51 <<'GO'
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/shlex"
	"github.com/kballard/go-shellquote"
)

func compose(line string) ([]string, error) {
	quoted, _ := json.Marshal(line)
	text := "name: find\nservices:\n  web:\n    image: any\n    command: " + string(quoted) + "\n"
	details := types.ConfigDetails{WorkingDir: "/", ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: []byte(text)}}, Environment: map[string]string{}}
	project, err := loader.LoadWithContext(context.Background(), details)
	if err != nil {
		return nil, err
	}
	return project.Services["web"].Command, nil
}

func main() {
	split := map[string]func(string) ([]string, error){"compose": compose, "google": shlex.Split, "kballard": shellquote.Split}[os.Args[1]]
	words, err := split(os.Args[2])
	if err != nil {
		words = []string{"ERROR"}
	}
	text, _ := json.Marshal(words)
	fmt.Println(string(text))
}
GO
cat >node/split.mjs <<'JS'
import { parse } from 'shell-quote'
import { parseArgsStringToArgv } from 'string-argv'

const [library, line] = process.argv.slice(2)
const split = library === 'shell-quote' ? parse : parseArgsStringToArgv
console.log(JSON.stringify(split(line)))
JS
judge 200 <<'PY'
import shlex

from wire import *

READERS = ["compose", "google", "kballard", "shell-quote", "string-argv", "shlex"]
SEEN = {  # in the order of the readers; None is an error
    "build && start": (["build"], ["build", "&&", "start"], ["build", "&&", "start"], ["build", {"op": "&&"}, "start"], ["build", "&&", "start"], ["build", "&&", "start"]),
    "get http://web/?a=1&b=2": (["get", "http://web/?a=1"], ["get", "http://web/?a=1&b=2"], ["get", "http://web/?a=1&b=2"],
                                ["get", {"op": "glob", "pattern": "http://web/?a=1"}, {"op": "&"}, "b=2"], ["get", "http://web/?a=1&b=2"], ["get", "http://web/?a=1&b=2"]),
    "map a=>b": (["map", "a="], ["map", "a=>b"], ["map", "a=>b"], ["map", "a=", {"op": ">"}, "b"], ["map", "a=>b"], ["map", "a=>b"]),
    r'"a\b"': (["ab"], ["ab"], [r"a\b"], [r"a\b"], [r"a\b"], [r"a\b"]),
    r"a\ b": (["a b"], ["a b"], ["a b"], ["a b"], ["a\\", "b"], ["a b"]),
    r'"a\"b"': (['a"b'], ['a"b'], ['a"b'], ['a"b'], [r"a\b"], ['a"b']),
    "a # b": (["a", "#", "b"], ["a"], ["a", "#", "b"], ["a", {"comment": " b"}], ["a", "#", "b"], ["a", "#", "b"]),
    "color#1": (["color#1"], ["color#1"], ["color#1"], ["color", {"comment": "1"}], ["color#1"], ["color#1"]),
    "a\\\nb": (["a\nb"], ["a\nb"], ["ab"], ["a", "b"], ["a\\", "b"], ["a\nb"]),
    "it's": (None, None, None, ["it", "s"], ["its"], None),
}


def read(reader, line):
    if reader == "shlex":
        try:
            return shlex.split(line)
        except ValueError:
            return None
    program = ["./reader"] if reader in READERS[:3] else ["node", "node/split.mjs"]
    words = json.loads(subprocess.run([*program, reader, line], capture_output=True, check=True, text=True, timeout=30).stdout)
    return None if words == ["ERROR"] else words


facts, rows = [], {reader: [] for reader in READERS}
for line, expected in SEEN.items():
    seen = tuple(read(reader, line) for reader in READERS)
    show(f"{line}: " + "; ".join(f"{reader} {json.dumps(words)}" for reader, words in zip(READERS, seen)))
    facts.append((seen == expected, f"{line}: {seen}"))
    for reader, words in zip(READERS, seen):
        rows[reader].append(words)
different = len({json.dumps(row) for row in rows.values()})
finish(*facts, (different == len(READERS), f"{different} of {len(READERS)} readers are different"))
PY
