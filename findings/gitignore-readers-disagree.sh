#!/usr/bin/env bash
# Guess: a library that reads .gitignore ignores what git ignores.
# Seen:  `build/` followed by `!build/keep.txt` keeps the file for pathspec, in both of its classes; git does not look into an
#        ignored folder. `*.log` and `!logs/` keep logs/a.log for PathSpec. `*.TXT` takes a.txt along for npm's ignore,
#        which knows no case by default. `?` is one character to all of them and one byte to git, which does not ignore é.
#        POSIX classes such as `[[:digit:]]` are nothing to pathspec.
# With:  git 2.39.5 (Debian 12), pathspec 1.1.1 (PyPI), ignore 7.0.17 (npm).
# Why:   what packs, copies or watches "all that git does not ignore" takes other files than git: a build folder, or a secret.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need git node
version_is git "$(git version)" "git version 2.39.5"
pip_install pathspec==1.1.1
npm_install ignore@7.0.17
export NODE_PATH="$WORK/node/node_modules" GIT_CONFIG_NOSYSTEM=1 LC_ALL=C.UTF-8
PYTHON=python judge 60 <<'PY'
import warnings
from pathlib import Path

from pathspec import GitIgnoreSpec, PathSpec

from wire import *

warnings.simplefilter("ignore")
CASES = {  # lines of .gitignore and a file: ignored by git, PathSpec, GitIgnoreSpec, ignore
    ("build/\n!build/keep.txt\n", "build/keep.txt"): (True, False, False, True),
    ("*.log\n!logs/\n", "logs/a.log"): (True, False, True, True),
    ("*.TXT\n", "a.txt"): (False, False, False, True),
    ("?\n", "é"): (False, True, True, True),
    ("[[:digit:]]\n", "5"): (True, False, False, True),
    ("build/*\n!build/keep.txt\n", "build/keep.txt"): (False, False, False, False),
}
facts = []
for number, ((lines, name), expected) in enumerate(CASES.items()):
    folder = Path(str(number))
    (folder / name).parent.mkdir(parents=True)
    (folder / name).touch()
    (folder / ".gitignore").write_text(lines)
    subprocess.run(["git", "init", "-q", folder], check=True)
    kept = subprocess.run(["git", "-C", folder, "ls-files", "-z", "--others", "--exclude-standard"], capture_output=True, text=True, check=True)
    ignore = subprocess.run(["node", "-p", "require('ignore')().add(process.argv[1]).ignores(process.argv[2])", lines, name],
                            capture_output=True, text=True, check=True)
    seen = (name not in kept.stdout.split("\0"), PathSpec.from_lines("gitwildmatch", lines.splitlines()).match_file(name),
            GitIgnoreSpec.from_lines(lines.splitlines()).match_file(name), ignore.stdout.strip() == "true")
    show(f"{lines!r}, {name}: ignored by " + ", ".join(who for who, holds in zip(("git", "PathSpec", "GitIgnoreSpec", "npm's ignore"), seen) if holds))
    facts.append((seen == expected, f"{lines!r}: {seen}"))
finish(*facts)
PY
