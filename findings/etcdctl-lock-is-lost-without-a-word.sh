#!/usr/bin/env bash
# Guess: `etcdctl lock NAME COMMAND` ends COMMAND, or fails, when it lost the lock meanwhile, and ends with COMMAND's status.
# Seen:  an etcdctl that was paused for longer than its --ttl, as by a suspended laptop or a frozen container, has lost the
#        lock: another one gets it while the first one's command runs on. The first one says nothing and ends with 0. Any
#        status of a command that fails becomes 1. `etcdctl txn` ends with 0 after FAILURE, `get` of no such key too.
# With:  etcd-server and etcd-client 3.4.23 (Debian 12).
# Why:   the lock does not exclude what it is there to exclude, and nobody hears of it; the work has to check by itself, with
#        a transaction, that it still holds its key.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install etcd-server=3.4.23-4+b4 etcd-client=3.4.23-4+b4
port=$(free_port)
peer=$(free_port)
etcd --data-dir data --listen-client-urls "http://127.0.0.1:$port" --advertise-client-urls "http://127.0.0.1:$port" \
    --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
    --initial-cluster "default=http://127.0.0.1:$peer" >etcd.log 2>&1 &
export ETCDCTL_API=3 ETCDCTL_ENDPOINTS="http://127.0.0.1:$port"
wait_for 30 bounded 3 etcdctl endpoint health || unable "etcd did not come up: $(tail -1 etcd.log)"
printf '#!/bin/sh\nexit 7\n' >seven
# shellcheck disable=SC2016
printf '#!/bin/sh\ntouch first-began\nuntil [ -e second-done ]; do sleep 0.1; done\ntouch first-goes-on\n' >first
printf '#!/bin/sh\n[ -e first-goes-on ] || touch second-began-meanwhile\n' >second
chmod +x seven first second
attempt() { local code=0; bounded 30 "$@" >said 2>&1 || code=$?; echo "$code"; }
seven=$(attempt etcdctl lock other ./seven)
etcdctl lock --ttl 2 name ./first >first.out 2>&1 &
holder=$!
wait_for 20 test -e first-began || unable "the first lock was not taken: $(tail -1 first.out)"
kill -STOP "$holder"
second=$(attempt etcdctl lock --ttl 2 name ./second)
kill -CONT "$holder"
touch second-done
first=0
wait "$holder" || first=$?
missing=$(attempt etcdctl get no-such-key)
printf 'value("a") = "1"\n\nput a 2\n\nput b 9\n\n' >transaction
code=0
bounded 10 etcdctl txn <transaction >said 2>&1 || code=$?
observed "paused for longer than its ttl: a second one has the lock meanwhile: $([ -e second-began-meanwhile ] && echo yes || echo no), status $second"
observed "the first one: its command $([ -e first-goes-on ] && echo went on || echo ended), status $first, said '$(cat first.out)'; a command that ends with 7: $seven"
observed "get of a missing key: $missing; txn: $(head -1 said), status $code"
[ -e second-began-meanwhile ] && [ -e first-goes-on ] && [ "$second/$first/$seven/$missing/$code" = 0/0/1/0/0 ] \
    && [ ! -s first.out ] && [ "$(head -1 said)" = FAILURE ] && verdict 0
verdict 1
