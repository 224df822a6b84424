#!/usr/bin/env bash
# Guess: `memcached -p 0` listens on a free port; `-p -1`, where that is the word for it, on one port.
# Seen:  with 0 it runs happily and listens on nothing at all: no port, no socket, no message, status 0 at the end. With
#        -1 it takes two different free ports, one for IPv4 and one for IPv6, and prints neither without MEMCACHED_PORT_FILENAME.
# With:  memcached 1.6.18 (Debian 12), on a machine with IPv6.
# Why:   "the process is up" says nothing here; a client that takes the first port found and connects to "localhost" by
#        the other family is refused.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install memcached=1.6.18-1+deb12u1
need ss
python3 -c "import socket; socket.create_server((\"::1\", 0), family=socket.AF_INET6)" 2>/dev/null || unable "no IPv6 here"
user=$(id -un)
ports() { ss -Hltnp | { grep "pid=$1," || true; } | awk '{print $4}' | sed 's/.*://' | sort -u; } 2>/dev/null
memcached -u "$user" -p 0 >zero.log 2>&1 &
zero=$!
memcached -u "$user" -p -1 >any.log 2>&1 &
any=$!
sleep 2
zero_ports=$(ports "$zero" | wc -l)
any_ports=$(ports "$any" | wc -l)
kill -0 "$zero" && alive=yes || alive=no
kill "$zero" "$any"
code=0
wait "$zero" || code=$?
observed "-p 0: alive=$alive, listening on $zero_ports ports, output '$(sed '/^Signal/d; /^Exiting/d' zero.log | head -1)', exit status $code"
observed "-p -1: listening on $any_ports different ports, output '$(sed '/^Signal/d; /^Exiting/d' any.log | head -1)'"
[ "$alive/$zero_ports/$code/$any_ports" = yes/0/0/2 ] && verdict 0
verdict 1
