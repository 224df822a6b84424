#!/usr/bin/env bash
# Guess: two tool calls in one answer of the model are made at the same time; what a tool's hints say changes approvals at most.
# Seen:  Gemini CLI, opencode and Copilot CLI make them at once. Claude Code, Codex and Qwen Code make one after the other, the
#        second when the first is answered, unless the tool has readOnlyHint: then they make them at once, too.
# With:  @anthropic-ai/claude-code 2.1.332, @openai/codex 0.171.0, @google/gemini-cli 0.61.0, @qwen-code/qwen-code 0.24.4,
#        opencode-ai 1.18.33, @github/copilot 1.0.102 (npm), each for one turn against a model endpoint on this machine.
# Why:   a model that starts three slow things in one answer waits for their sum, and a wait next to a start, of which one
#        ends the other, waits for its time limit. A tool that only reads should say so.
set -euo pipefail
. "$(dirname "$0")/agents.sh"
agents_install claude codex gemini qwen opencode copilot
for agent in claude codex gemini qwen opencode copilot; do
    for tools in work+work look+look; do ask_agent "$agent" "$tools"; done
done
judge 60 <<'PY'
from agents import events
from wire import finish, show

facts = []
for agent in ("claude", "codex", "gemini", "qwen", "opencode", "copilot"):
    order = {}
    for tool in ("work", "look"):
        order[tool] = [one["kind"] for one in events(agent, f"{tool}+{tool}") if one["kind"] in ("begin", "end")]
    at_once = {tool: kinds == ["begin", "begin", "end", "end"] for tool, kinds in order.items()}
    show(f"{agent}: at once {at_once['work']}, of a tool that only reads {at_once['look']}")
    facts.append((at_once["look"] and at_once["work"] == (agent not in ("claude", "codex", "qwen")), agent))
    facts.append((all(len(kinds) == 4 for kinds in order.values()), f"{agent}: two calls"))
finish(*facts)
PY
