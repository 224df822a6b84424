#!/usr/bin/env bash
# Guess: a misspelled attribute or flag of toxiproxy-cli fails; a server that cannot read its configuration, or cannot make one of
#        its proxies, does not start.
# Seen:  `toxic add -t latency -a latncy=1000` says "Added", status 0, and delays by 0 ms. A misspelled flag prints the help, status
#        0, and makes nothing; a misspelled command is 3, a missing proxy 1. The server without its configuration stays, with no
#        proxies; one whose first proxy's port is in use stays without the others. A proxy of which the other side is not there
#        accepts and closes.
# With:  github.com/Shopify/toxiproxy/v2 2.5.0 (Go).
# Why:   a test of slowness or loss passes because nothing was slowed; the server's port and the exit status are green.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
go_install github.com/Shopify/toxiproxy/v2@v2.5.0///cmd/server github.com/Shopify/toxiproxy/v2@v2.5.0///cmd/cli
control=$(free_port)
nobody=$(free_port)
listen=$(free_port)
server -host 127.0.0.1 -port "$control" >server.log 2>&1 &
wait_for 20 listens "$control" || unable "toxiproxy did not come up: $(tail -1 server.log)"
attempt() { local code=0; bounded 10 cli -h "http://127.0.0.1:$control" "$@" >said 2>&1 || code=$?; echo "$code"; }
made=$(attempt create -l "127.0.0.1:$listen" -u "127.0.0.1:$nobody" web)
flag=$(attempt create --lisn "127.0.0.1:$nobody" -u "127.0.0.1:$nobody" other)
command=$(attempt craete web)
missing=$(attempt toggle typo)
added="$(attempt toxic add -t latency -a latncy=1000 web) $(grep -o Added said)"
attempt inspect web >/dev/null
latency=$(grep -o 'latency=[0-9]*' said | tail -1)
attempt list >/dev/null
listed=$(grep -o 'web\|other' said | tr '\n' ' ')
accepts=$(python3 -c 'import socket, sys
peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)
print("accepts, sends", len(peer.recv(9)))' "$listen")
observed "made $made; a misspelled attribute: $added, $latency; a misspelled flag: $flag, listed: $listed; command: $command, a missing proxy: $missing"
observed "a proxy of what is not there: $accepts"
lives() { # CONFIGURATION: whether the server stays, and which proxies it has
    local port process said
    port=$(free_port)
    server -host 127.0.0.1 -port "$port" -config "$1" >config.log 2>&1 &
    process=$!
    wait_for 20 listens "$port" && said=stays || said=ends
    bounded 10 cli -h "http://127.0.0.1:$port" list >said 2>&1 || true
    kill "$process" 2>/dev/null || true
    echo "$said, proxies: $(grep -o 'first\|second' said | tr '\n' ' ')"
}
proxy() { echo "{\"name\": \"$1\", \"listen\": \"127.0.0.1:$2\", \"upstream\": \"127.0.0.1:$nobody\", \"enabled\": true}"; }
echo "[$(proxy first "$control"), $(proxy second "$(free_port)")]" >taken.json
without=$(lives missing.json)
taken=$(lives taken.json)
observed "a configuration that is missing: $without; a first proxy whose port is in use: $taken"
[ "$made/$added/$latency/$flag/$listed/$command/$missing/$accepts" = "0/0 Added/latency=0/0/web /3/1/accepts, sends 0" ] \
    && [ "$without/$taken" = "stays, proxies: /stays, proxies: " ] && verdict 0
verdict 1
