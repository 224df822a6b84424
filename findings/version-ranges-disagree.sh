#!/usr/bin/env bash
# Guess: a range of semantic versions means the same to each library that reads it, or is an error; libraries for npm's ranges agree with
#        npm.
# Seen:  of eight readers no two agree on eight ranges. "<2.0.0" takes 2.0.0-rc.1 in semantic_version's NpmSpec and in blang, not in npm's
#        semver. ">=1.0.0, <2.0.0", as Go, Rust and Python write it, is an error to npm's and matches nothing in PyPI's
#        node-semver, and neither does "!=1.4.0". "1.0.0 - 2.0.0" does not take 1.5.0 in blang, "1.2" not 1.2.5 in HashiCorp's.
#        1.2.4 is above ">1.2" in two. Of ^1.2.3-rc.0 Masterminds and SimpleSpec take each later pre-release.
# With:  semver 7.8.6 (npm), node-semver 0.9.1, semantic-version 2.10.0, packaging 26.4 (PyPI), Masterminds/semver 3.5.0,
#        blang/semver 4.0.0, hashicorp/go-version 1.9.0 (Go), Node 20.
# Why:   a range that a plugin or a lock file names is checked by a tool in another language, which takes a pre-release, or refuses
#        what is there.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need node go
npm_install semver@7.8.6
pip_install node-semver==0.9.1 semantic-version==2.10.0 packaging==26.4
go_build reader github.com/Masterminds/semver/v3@v3.5.0 \
    github.com/blang/semver/v4@v4.0.0 \
    github.com/hashicorp/go-version@v1.9.0 <<'GO'
package main

import (
	"encoding/json"
	"fmt"
	"os"

	masterminds "github.com/Masterminds/semver/v3"
	blang "github.com/blang/semver/v4"
	hashicorp "github.com/hashicorp/go-version"
)

func main() {
	var cases [][2]string
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil {
		panic(err)
	}
	answers := map[string][]any{"Masterminds": {}, "blang": {}, "HashiCorp": {}}
	for _, each := range cases {
		var first, second, third any
		if wanted, err := masterminds.NewConstraint(each[1]); err == nil {
			first = wanted.Check(masterminds.MustParse(each[0]))
		}
		if wanted, err := blang.ParseRange(each[1]); err == nil {
			second = wanted(blang.MustParse(each[0]))
		}
		if wanted, err := hashicorp.NewConstraint(each[1]); err == nil {
			third = wanted.Check(hashicorp.Must(hashicorp.NewVersion(each[0])))
		}
		answers["Masterminds"] = append(answers["Masterminds"], first)
		answers["blang"] = append(answers["blang"], second)
		answers["HashiCorp"] = append(answers["HashiCorp"], third)
	}
	text, _ := json.Marshal(answers)
	fmt.Println(string(text))
}
GO
cat >node/read.js <<'JS'
const semver = require('semver')
const cases = JSON.parse(require('fs').readFileSync(0))
console.log(JSON.stringify(cases.map(([version, range]) => (semver.validRange(range) === null ? null : semver.satisfies(version, range)))))
JS
PYTHON=python judge 100 <<'PY'
import nodesemver
import semantic_version
from packaging.specifiers import SpecifierSet

from wire import *

SEEN = [  # in the order of the readers; None is an error
    ("2.0.0-rc.1", "<2.0.0", (False, False, True, False, False, False, True, False)),
    ("2.0.0-rc.1", ">=1.0.0", (False, False, False, True, True, False, True, False)),
    ("1.2.4-rc.1", "^1.2.3-rc.0", (False, False, False, True, None, True, None, None)),
    ("1.5.0", ">=1.0.0, <2.0.0", (None, False, None, None, True, True, None, True)),
    ("1.5.0", "!=1.4.0", (None, False, None, True, True, True, True, True)),
    ("1.5.0", "1.0.0 - 2.0.0", (True, True, True, None, None, True, False, None)),
    ("1.2.5", "1.2", (True, True, True, True, None, True, None, False)),
    ("1.2.4", ">1.2", (False, False, False, False, True, False, None, True)),
]
PYTHONS = {
    "node-semver": lambda version, wanted: nodesemver.satisfies(version, wanted, loose=False),
    "NpmSpec": lambda version, wanted: semantic_version.Version(version) in semantic_version.NpmSpec(wanted),
    "SimpleSpec": lambda version, wanted: semantic_version.Version(version) in semantic_version.SimpleSpec(wanted),
    "packaging": lambda version, wanted: SpecifierSet(wanted).contains(version),
}


def attempt(read, version, wanted):
    try:
        return bool(read(version, wanted))
    except ValueError:
        return None


cases = [(version, wanted) for version, wanted, _ in SEEN]
javascript, go = (json.loads(subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True, check=True, timeout=30).stdout)
                  for command in (["node", "node/read.js"], ["./reader"]))
seen = {"semver": javascript} | {name: [attempt(read, *each) for each in cases] for name, read in PYTHONS.items()}
seen |= {name: go[name] for name in ("Masterminds", "blang", "HashiCorp")}
facts = []
for index, (version, wanted, expected) in enumerate(SEEN):
    row = tuple(answers[index] for answers in seen.values())
    show(f"{version} in '{wanted}': " + ", ".join(f"{name} {answer}" for name, answer in zip(seen, row)))
    facts.append((row == expected, f"{version} in '{wanted}': {row}"))
different = len({tuple(answers) for answers in seen.values()})
finish(*facts, (different == len(seen), f"{different} of {len(seen)} differ"))
PY
