#!/usr/bin/env bash
# Guess: what an MCP server started in a session of its own outlives the agent that started the server, as a daemon should.
# Seen:  opencode and Copilot CLI send SIGTERM to every descendant of their MCP servers when they exit, found by parent
#        process id, so to a process in a new session and process group too. Claude Code, Codex, Gemini CLI and Qwen Code
#        do not.
# With:  @anthropic-ai/claude-code 2.1.332, @openai/codex 0.171.0, @google/gemini-cli 0.61.0, @qwen-code/qwen-code 0.24.4,
#        opencode-ai 1.18.33, @github/copilot 1.0.102 (npm), each for one turn against a model endpoint on this machine.
# Why:   a background server that an MCP server starts on demand, and all that it runs for other clients, goes when one of
#        the clients exits. It is safe only when its parent is gone: fork twice, and let the process between end.
set -euo pipefail
. "$(dirname "$0")/agents.sh"
agents_install claude codex gemini qwen opencode copilot
for agent in claude codex gemini qwen opencode copilot; do ask_agent "$agent" child; done
judge 60 <<'PY'
from agents import events
from wire import finish, show

facts = []
for agent in ("claude", "codex", "gemini", "qwen", "opencode", "copilot"):
    seen = events(agent, "child")
    child = next(event for event in seen if event["kind"] == "child")
    ended = [event["value"] for event in seen if event["kind"] == "signal" and event["pid"] == child["pid"]]
    own = [event["value"] or "stdin closed" for event in seen if event["kind"] in ("signal", "stdin closed") and event["pid"] != child["pid"]]
    show(f"{agent}: child leads a session {child['value']}, got {ended or 'no signal'}; the server itself {own}")
    facts.append((child["value"] and bool(ended) == (agent in ("opencode", "copilot")), f"{agent} and the child"))
finish(*facts)
PY
