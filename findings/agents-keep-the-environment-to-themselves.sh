#!/usr/bin/env bash
# Guess: an MCP server over stdio gets the environment of the agent that starts it, as any child process does, so that what
#        it starts for the user finds the variables of the user's shell.
# Seen:  Codex hands on about twenty variables it knows (PATH, HOME, LANG and the like) and nothing of the user's own;
#        Gemini CLI leaves out what looks like a secret by its name. Claude Code, Qwen Code, opencode and Copilot CLI
#        hand on all, and add some of their own.
# With:  @anthropic-ai/claude-code 2.1.332, @openai/codex 0.171.0, @google/gemini-cli 0.61.0, @qwen-code/qwen-code 0.24.4,
#        opencode-ai 1.18.33, @github/copilot 1.0.102 (npm), each for one turn against a model endpoint on this machine.
# Why:   the same project starts from one agent and fails from another, for want of a variable like DATABASE_URL. A
#        server that starts programs must say which environment they got, and take what is missing from elsewhere.
set -euo pipefail
. "$(dirname "$0")/agents.sh"
agents_install claude codex gemini qwen opencode copilot
for agent in claude codex gemini qwen opencode copilot; do ask_agent "$agent" both; done
judge 60 <<'PY'
from agents import events
from wire import finish, show

WANT = {"codex": [], "gemini": ["USER_SETTING"]}
facts = []
for agent in ("claude", "codex", "gemini", "qwen", "opencode", "copilot"):
    given = next(event["value"] for event in events(agent, "both") if event["kind"] == "start")
    got = [name for name in ("USER_SETTING", "SERVICE_TOKEN") if name in given]
    show(f"{agent}: {len(given)} variables, PATH {'PATH' in given}, of the user's own two {got}")
    facts.append((got == WANT.get(agent, ["USER_SETTING", "SERVICE_TOKEN"]) and "PATH" in given, f"{agent} hands on {got}"))
finish(*facts)
PY
