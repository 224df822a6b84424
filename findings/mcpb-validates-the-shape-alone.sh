#!/usr/bin/env bash
# Guess: what `mcpb validate` and `mcpb pack` accept can be installed and started: the entry point is in the bundle, what
#        ${user_config.…} refers to is declared, the version is a version; packing leaves out what git leaves out, and the
#        same folder gives the same bundle.
# Seen:  only the shape of the manifest is checked. A bundle whose entry point is missing is packed with status 0; an
#        undeclared ${user_config.token} and the version "not-a-version" pass. .gitignore is ignored: a virtual
#        environment and the ignored files are packed (a .env is left out). Two packs of one folder differ.
# With:  @anthropic-ai/mcpb 2.1.2 (npm), Node 20.
# Why:   a green validation in CI is no proof that the bundle starts, and a checksum in a registry holds for one pack only.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install @anthropic-ai/mcpb@2.1.2
mkdir -p bundle/server bundle/.venv/lib
echo "print('x')" >bundle/server/main.py
echo x >bundle/.venv/lib/big.py
echo x >bundle/draft.txt
printf '.venv/\ndraft.txt\n' >bundle/.gitignore
manifest() { # ENTRY ARGUMENT VERSION
    cat >bundle/manifest.json <<JSON
{"manifest_version": "0.3", "name": "demo", "version": "$3", "description": "d", "author": {"name": "Someone"},
 "server": {"type": "python", "entry_point": "$1", "mcp_config": {"command": "python", "args": ["$2"]}}}
JSON
}
checked() { local code=0; bounded 60 mcpb "$@" >answer 2>&1 </dev/null || code=$?; echo "$code"; }
good='${__dirname}/server/main.py'
manifest server/nowhere.py '${__dirname}/server/nowhere.py' 1.0.0
entry=$(checked validate bundle/manifest.json)/$(checked pack bundle missing.mcpb)
manifest server/main.py '${user_config.token}' 1.0.0
undeclared=$(checked validate bundle/manifest.json)
manifest server/main.py "$good" not-a-version
version=$(checked validate bundle/manifest.json)
manifest server/main.py "$good" 1.0.0
packed=$(checked pack bundle one.mcpb)
sleep 2
packed=$packed/$(checked pack bundle two.mcpb)
names=$(python3 -c 'import sys, zipfile; print(*sorted(zipfile.ZipFile(sys.argv[1]).namelist()))' one.mcpb)
same=different
cmp -s one.mcpb two.mcpb && same=identical
observed "missing entry point: validate/pack exit $entry; undeclared user_config: $undeclared; version 'not-a-version': $version"
observed "packed: $names"
observed "two packs of one folder ($packed) are $same"
[ "$entry/$undeclared/$version/$packed/$same" = 0/0/0/0/0/0/different ] && [[ $names == *.venv/lib/big.py* ]] \
    && [[ $names == *draft.txt* ]] && verdict 0
verdict 1
