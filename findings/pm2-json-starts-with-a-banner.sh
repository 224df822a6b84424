#!/usr/bin/env bash
# Guess: `pm2 jlist` prints JSON; asking changes nothing; `pm2 start` of a program that ends at once fails; `pm2 kill` on
#        a machine where pm2 does not run does nothing.
# Seen:  the first jlist prints a banner in ASCII art and "Spawning PM2 daemon" before the JSON, on stdout, and starts a
#        daemon that stays. With pm2 not running `pm2 kill` starts a daemon to end it. `pm2 start` of a program
#        that exits with 3 at once says "Done", shows it "online" and ends with 0. After delete and start the same name
#        has another id.
# With:  pm2 7.0.4 (npm), Node 20.
# Why:   a status check is what starts the supervisor, in the environment of whoever checked first; parsers fail once per
#        machine; a start's answer says nothing about the program.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install pm2@7.0.4
export PM2_HOME="$WORK/pm2"
quick() { bounded 40 pm2 "$@"; }
quick jlist >first.out 2>first.err || true
daemon=none
[ -f pm2/pm2.pid ] && kill -0 "$(cat pm2/pm2.pid)" 2>/dev/null && daemon=running
quick jlist >second.out 2>/dev/null || true
is_json() { python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$1" 2>/dev/null && echo JSON || echo other; }
first=$(is_json first.out)
second=$(is_json second.out)
observed "first jlist: $first ($(grep -c . first.out) lines, $(grep -c 'Spawning PM2' first.out) of them 'Spawning PM2 daemon'), daemon afterwards: $daemon; second jlist: $second"
echo 'process.exit(3)' >bad.js
echo 'setInterval(() => {}, 1000)' >good.js
code=0
quick start bad.js --name bad >start.out 2>&1 || code=$?
online=$(grep -c online start.out || true)
quick start good.js --name web >/dev/null
before=$(quick id web | tr -dc '0-9')
quick delete web >/dev/null
quick start good.js --name web >/dev/null
after=$(quick id web | tr -dc '0-9')
observed "start of a program that exits with 3: status $code, shown online: $online; id of 'web' $before, after delete and start $after"
quick kill >/dev/null
quick kill >kill.out 2>&1 || true
spawned=$(grep -c 'Spawning PM2 daemon' kill.out || true)
observed "kill with nothing running spawns a daemon: $spawned"
[ "$first/$second/$daemon" = other/JSON/running ] && [ "$code" = 0 ] && [ "$online" -ge 1 ] && [ "$before" != "$after" ] \
    && [ "$spawned" = 1 ] && verdict 0
verdict 1
