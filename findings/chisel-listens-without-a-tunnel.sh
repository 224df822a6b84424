#!/usr/bin/env bash
# Guess: a tunnel's client that cannot reach its server, or is refused by it, exits; its port listens when the tunnel is up.
# Seen:  chisel's client stays and tries again, without a limit: without a server, when the server does not permit the reverse
#        forward, and when the port on the server is in use. Its local port listens from the start and accepts connections;
#        they wait, and get no answer. Only a local port in use ends it, with 1.
# With:  chisel 1.10.1 (Go).
# Why:   the process runs and the port is open, so a check of either says that the tunnel works. The log's "Connected", or an
#        answer through the tunnel, is the proof; --max-retry-count makes it exit.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
go_install github.com/jpillora/chisel@v1.10.1
need curl
back=$(free_port)
python3 -m http.server --bind 127.0.0.1 "$back" >back.log 2>&1 &
server=$(free_port)
reverse=$(free_port)
chisel server --host 127.0.0.1 -p "$server" >server.log 2>&1 &
chisel server --reverse --host 127.0.0.1 -p "$reverse" >reverse.log 2>&1 &
for port in "$back" "$server" "$reverse"; do wait_for 20 listens "$port" || unable "port $port did not come up"; done
tried() { [ "$(grep -c "$1" client.log)" -ge 3 ]; }
client() { # SERVER TUNNEL WORDS: whether it is still there after three refusals that say WORDS
    local pid code=0
    chisel client "http://127.0.0.1:$1" "$2" >client.log 2>&1 &
    pid=$!
    if wait_for 15 tried "$3" && kill -0 "$pid" 2>/dev/null; then echo stays; else wait "$pid" || code=$?; echo "exits $code"; fi
    echo "$pid" >client.pid
}
local=$(free_port)
none=$(client "$(free_port)" "127.0.0.1:$local:127.0.0.1:$back" 'connection refused')
open=$(listens "$local" && echo open || echo closed)
answer=0
curl -s --max-time 3 -o out "http://127.0.0.1:$local/" || answer=$?
kill "$(cat client.pid)"
denied=$(client "$server" "R:127.0.0.1:$(free_port):127.0.0.1:$back" 'not enabled on server')
kill "$(cat client.pid)"
taken=$(client "$reverse" "R:127.0.0.1:$back:127.0.0.1:$back" 'Server cannot listen')
kill "$(cat client.pid)"
own=$(client "$server" "127.0.0.1:$back:127.0.0.1:$back" never)
good=$(free_port)
chisel client "http://127.0.0.1:$server" "127.0.0.1:$good:127.0.0.1:$back" >client.log 2>&1 &
through=no
wait_for 15 curl -sf --max-time 3 -o out "http://127.0.0.1:$good/" && through=yes
observed "no server: the client $none, its port is $open, curl's status is $answer (28: no answer in time); a good one answers: $through"
observed "refused by the server: $denied; its port there is in use: $taken; the local port is in use: $own"
[ "$none/$open/$answer/$through/$denied/$taken/$own" = "stays/open/28/yes/stays/stays/exits 1" ] && verdict 0
verdict 1
