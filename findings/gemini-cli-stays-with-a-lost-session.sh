#!/usr/bin/env bash
# Guess: an agent whose HTTP server was restarted, and answers 404 for the session, starts a new one, as the protocol requires,
#        and sends the call again.
# Seen:  Claude Code, Codex, opencode and Copilot CLI do, so that the model notices nothing. Qwen Code starts a new session, does
#        not send the call again and tells the model that it "may have completed", although it was refused; the next call is
#        answered. Gemini CLI never starts one: both later calls fail with "Session not found".
# With:  @anthropic-ai/claude-code 2.1.332, @openai/codex 0.171.0, @google/gemini-cli 0.61.0, @qwen-code/qwen-code 0.24.4,
#        opencode-ai 1.18.33, @github/copilot 1.0.102 (npm), each for one turn against a model endpoint on this machine; the
#        server is of the version 2025-11-25 with sessions.
# Why:   a restart of the server is harmless with four agents, the end of it with one, and a false alarm with another. What a
#        server knows by session alone (who asked, what is leased) belongs to nobody afterwards.
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
