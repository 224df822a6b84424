#!/usr/bin/env bash
# Guess: an agent whose HTTP server was restarted, and answers 404 for the session, starts a new one and sends the call again, as
#        the protocol requires; or its calls fail as they do when a stdio server has exited.
# Seen:  Claude Code, Codex, opencode and Copilot CLI start a new session and send the call again, so that the model notices
#        nothing; of these only Claude Code does as much for a stdio server. Qwen Code starts a new session, does not send the call
#        again and tells the model that it "may have completed", although it was refused. Gemini CLI never starts one: each later
#        call fails with "Session not found".
# With:  @anthropic-ai/claude-code 2.1.332, @openai/codex 0.171.0, @google/gemini-cli 0.61.0, @qwen-code/qwen-code 0.24.4,
#        opencode-ai 1.18.33, @github/copilot 1.0.102 (npm), each for one turn against a model endpoint on this machine; the
#        server is of the version 2025-11-25 with sessions.
# Why:   a restart of the server is harmless under four agents, a stop for good under one, and a false alarm under another. What a
#        server knows by session only (who asked, what is leased) is another's after it.
set -euo pipefail
. "$(dirname "$0")/agents.sh"
agents_install claude codex gemini qwen opencode copilot
PROBE_HTTP=1
for agent in claude codex gemini qwen opencode copilot; do ask_agent "$agent" forget,both,both; done
judge 60 <<'PY'
from agents import events, rows
from wire import finish, show

facts = []
for agent in ("claude", "codex", "gemini", "qwen", "opencode", "copilot"):
    seen = [one for one in events(agent, "forget,both,both") if one["kind"] == "POST"]
    sessions = [one["value"]["method"] for one in seen].count("initialize")
    calls = [one["lost"] for one in seen if one["value"]["method"] == "tools/call" and one["value"]["params"]["name"] == "both"]
    answered, told = calls.count(False), str(rows(agent, "forget,both,both", "model.log")[-1])
    show(f"{agent}: sessions {sessions}; of two calls after the restart {answered} are answered; the model reads 'Session not found' "
         f"{'Session not found' in told}, 'may have completed' {'may have completed' in told}")
    want = {"gemini": (False, 0, True, False), "qwen": (True, 1, False, True)}.get(agent, (True, 2, False, False))
    facts.append(((sessions > 1, answered, "Session not found" in told, "may have completed" in told) == want, agent))
finish(*facts)
PY
