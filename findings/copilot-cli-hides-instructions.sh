#!/usr/bin/env bash
# Guess: a model sees the `instructions` with which a server says how its tools belong together, at least their beginning.
# Seen:  Claude Code, Codex, Gemini CLI, Qwen Code and opencode show all 3,000 characters. Copilot CLI shows none of them, and
#        none of a text of 100 characters.
# With:  @anthropic-ai/claude-code 2.1.332, @openai/codex 0.171.0, @google/gemini-cli 0.61.0, @qwen-code/qwen-code 0.24.4,
#        opencode-ai 1.18.33, @github/copilot 1.0.102 (npm), each for one turn against a model endpoint on this machine.
# Why:   "call a before b" has to be in the tools' descriptions, too; the model in Copilot CLI does not see it anywhere else.
set -euo pipefail
. "$(dirname "$0")/agents.sh"
agents_install claude codex gemini qwen opencode copilot
for agent in claude codex gemini qwen opencode copilot; do ask_agent "$agent" both; done
PROBE_ENV='{"PROBE_INSTRUCTIONS":"100"}' ask_agent copilot fail
judge 60 <<'PY'
import json

from agents import rows
from wire import finish, show

facts = []
for agent, tool in (*((agent, "both") for agent in ("claude", "codex", "gemini", "qwen", "opencode", "copilot")), ("copilot", "fail")):
    said = json.dumps(rows(agent, tool, "model.log"))
    begun, whole = "INSTRUCTIONS-BEGIN" in said, f"INSTRUCTIONS-BEGIN {'i' * 3000} INSTRUCTIONS-END" in said
    show(f"{agent}{', of 100 characters' if tool == 'fail' else ''}: the beginning is shown {begun}, all of it {whole}")
    facts.append((begun == whole == (agent != "copilot"), agent))
finish(*facts)
PY
