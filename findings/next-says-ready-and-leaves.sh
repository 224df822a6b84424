#!/usr/bin/env bash
# Guess: `next dev` that printed "✓ Ready" runs; one that cannot run says so last, or first.
# Seen:  a second `next dev` in the same folder, on a free port of its own, prints its address and "✓ Ready in …", then
#        that another dev server is running, and exits with status 1 a moment later.
# With:  next 16.4.6, react 19.3.1 (npm), Node 20.
# Why:   the ready line is no proof, nor is the port, which it had; only being there a moment later is.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install next@16.4.6 react@19.3.1 react-dom@19.3.1
mkdir -p app
echo 'export default function Layout({ children }) { return <html><body>{children}</body></html> }' >app/layout.js
echo 'export default function Page() { return <p>there</p> }' >app/page.js
ln -s node/node_modules node_modules
export NEXT_TELEMETRY_DISABLED=1
next dev -p "$(free_port)" >first.log 2>&1 &
wait_for 90 grep -q "Ready in" first.log || unable "next did not start: $(tail -1 first.log)"
code=0
bounded 60 next dev -p "$(free_port)" >second.log 2>&1 || code=$?
ready=$(grep -c "Ready in" second.log || true)
another=$(grep -ci "another next dev server" second.log || true)
observed "the second one: 'Ready in' $ready time(s), 'another next dev server' $another time(s), exit status $code"
[ "$ready" -ge 1 ] && [ "$another" -ge 1 ] && [ "$code" = 1 ] && verdict 0
verdict 1
