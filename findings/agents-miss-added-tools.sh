#!/usr/bin/env bash
# Guess: an agent that hears `notifications/tools/list_changed` lists the tools again, and its model sees the new one.
# Seen:  a server adds a tool while one of its tools is called, sends the notification and answers two seconds later. Claude
#        Code, Gemini CLI, opencode and Copilot CLI list again, and the model's next request has the tool. Codex and Qwen
#        Code never list again: for the rest of the run their models do not know that the tool is there.
# With:  @anthropic-ai/claude-code 2.1.332, @openai/codex 0.171.0, @google/gemini-cli 0.61.0, @qwen-code/qwen-code 0.24.4,
#        opencode-ai 1.18.33, @github/copilot 1.0.102 (npm), each for one turn against a model endpoint on this machine.
# Why:   a server whose tools depend on what runs (a login first, a database first) works under four agents; under the other
#        two everything has to be there from the start, or behind one tool that takes the name of another.
set -euo pipefail
. "$(dirname "$0")/agents.sh"
agents_install claude codex gemini qwen opencode copilot
for agent in claude codex gemini qwen opencode copilot; do ask_agent "$agent" grow; done
judge 60 <<'PY'
from agents import events, offered
from wire import finish, show

facts = []
for agent in ("claude", "codex", "gemini", "qwen", "opencode", "copilot"):
    methods = [one["value"]["method"] for one in events(agent, "grow") if one["kind"] == "message"]
    lists = methods.count("tools/list")
    has = any("later" in name for name in offered(agent, "grow"))
    show(f"{agent}: called the tool {'tools/call' in methods}, listed {lists} times; the model sees the new tool: {has}")
    follows = agent not in ("codex", "qwen")
    facts.append(("tools/call" in methods, f"{agent} called nothing"))
    facts.append(((lists > 1) == follows, f"{agent} listed {lists} times"))
    facts.append((has == follows, f"{agent}'s model sees the new tool: {has}"))
finish(*facts)
PY
