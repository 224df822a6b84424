#!/usr/bin/env bash
# Guess: a client that asks `server/discover` first waits for the answer as long as for any other, and falls back to
#        `initialize` when the answer is an error.
# Seen:  Copilot CLI and Claude Code wait a few seconds, then send `initialize` on the same connection with the first
#        request unanswered.
# With:  @github/copilot 1.0.102 and @anthropic-ai/claude-code 2.1.332 (npm), each for one turn against a model endpoint
#        on this machine; the server is a few lines of Python that take 30 s to refuse `server/discover`.
# Why:   a server that starts slowly, such as one behind `npx` or `uvx`, has both requests before it. One that settles the
#        era by the first request, as mcp 2.3.0 does, then refuses the second, and the agent has none of its tools.
set -euo pipefail
. "$(dirname "$0")/agents.sh"
agents_install claude copilot
export PROBE_DELAY=30
for agent in claude copilot; do ask_agent "$agent" both 100; done
judge 60 <<'PY'
from agents import events
from wire import finish, show

facts = []
for agent in ("claude", "copilot"):
    asked = [(event["at"], event["value"]["method"]) for event in events(agent, "both") if event["kind"] == "message"]
    begun = asked[0][0]
    pause = next((at - begun for at, method in asked if method == "initialize"), None)
    show(f"{agent}: {[method for _, method in asked[:4]]}, initialize after {pause and round(pause, 1)} s")
    facts.append((asked[0][1] == "server/discover" and pause is not None and pause < 25, f"{agent} waits"))
finish(*facts)
PY
