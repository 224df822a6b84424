#!/usr/bin/env bash
# Guess: a mock server whose file does not exist fails; an edit of its file is served, or at least not lost; a filter by a field that
#        no item has finds nothing; what cannot be read as JSON is refused.
# Seen:  json-server makes the missing file, with its own example in it, and serves that. An edit made while it runs is not served,
#        and the next POST (201) writes its own state over it. `?autor=a` and `?_limt=1` are ignored: all items, 200. A body sent
#        without the JSON content type is stored with status 201 as one key that is the whole text.
# With:  json-server 0.17.4 (npm), Node 20, without --watch.
# Why:   a wrong path in one checkout answers 200 with foreign data; a fixture that a person edits goes back to what it was; a test
#        of a misspelled filter passes.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need node curl
npm_install json-server@0.17.4
start() { # FILE: a server of it, at $url
    local port
    port=$(free_port)
    url="http://127.0.0.1:$port"
    json-server -q -H 127.0.0.1 -p "$port" "$1" >"$1.log" 2>&1 &
    wait_for 30 listens "$port" || unable "json-server did not come up: $(tail -1 "$1.log")"
}
ask() { curl -s -m 10 -o body -w '%{http_code}' "$@"; }
count() { python3 -c 'import json; print(len(json.load(open("body"))))'; }
typed=(-H 'Content-Type: application/json')
start misspelled.json
missing="$(ask "$url/posts"), $(grep -o typicode body | head -1), file made: $([ -f misspelled.json ] && echo yes || echo no)"
echo '{"posts": [{"id": 1, "author": "a"}, {"id": 2, "author": "b"}]}' >db.json
start db.json
field="$(ask "$url/posts?autor=a") $(count)"
parameter="$(ask "$url/posts?_limt=1") $(count)"
known="$(ask "$url/posts?author=zz") $(count), $(ask "$url/posts?_limit=1") $(count)"
untyped="$(ask -d '{"author": "c"}' "$url/posts") $(python3 -c 'import json; print(sorted(json.load(open("body"))))')"
echo '{"posts": [{"id": 7, "author": "edited"}]}' >db.json
sleep 2
edited="$(ask "$url/posts/7")"
posted=$(ask "${typed[@]}" -d '{"author": "late"}' "$url/posts")
wait_for 10 grep -q late db.json || true
left=$(grep -c edited db.json || true)
observed "a missing file: $missing; a misspelled field: $field, parameter: $parameter; well spelled: $known"
observed "a body without its type: $untyped; an edit is served: $edited, a POST afterwards: $posted, lines of the edit left: $left"
[ "$missing" = "200, typicode, file made: yes" ] && [ "$field/$parameter/$known" = "200 2/200 2/200 0, 200 1" ] \
    && [ "$untyped" = "201 ['id', '{\"author\": \"c\"}']" ] && [ "$edited/$posted/$left" = "404/201/0" ] && verdict 0
verdict 1
