#!/usr/bin/env bash
# Guess: an agent that is run for one turn waits for its MCP servers up to the start-up limit that it is configured with,
#        since without their tools the turn is lost.
# Seen:  `codex exec` asks its model at once, with the tools of the servers that are ready by then: one that takes 3 s for
#        `initialize` is not there in the whole turn, though startup_timeout_sec is 60, and nothing is said of it. With
#        `required = true` for that server it waits. Claude Code (`-p`), for one, waits anyway.
# With:  @openai/codex 0.171.0 and @anthropic-ai/claude-code 2.1.332 (npm), each for one turn against a model endpoint on
#        this machine.
# Why:   a server that starts a daemon, a container or `npx` first is absent now and then, depending on who was faster,
#        and the model says that it has no such tool.
set -euo pipefail
. "$(dirname "$0")/agents.sh"
agents_install codex claude
export PROBE_INITIALIZE=3
ask_agent claude both
CODEX_SERVER="startup_timeout_sec = 60" ask_agent codex both
mv "$WORK/codex-both" "$WORK/alone-both"
CODEX_SERVER=$'startup_timeout_sec = 60\nrequired = true' ask_agent codex both
judge 60 <<'PY'
from agents import events, offered
from wire import finish, show

seen = {who: [any(name.endswith("structured") for name in offered(who, "both")), any(e["kind"] == "message" and e["value"]["method"] == "tools/call" for e in events(who, "both"))] for who in ("claude", "alone", "codex")}
show(f"tools offered and called: Claude Code {seen['claude']}, Codex {seen['alone']}, Codex with required {seen['codex']}")
finish(
    (seen["claude"] == [True, True], "Claude Code"),
    (seen["alone"] == [False, False], "Codex waits"),
    (seen["codex"] == [True, True], "Codex with required = true"),
)
PY
