#!/usr/bin/env bash
# Guess: an agent that cannot show its model a long answer shows the beginning, or the beginning and the end, and says so.
# Seen:  of 300,000 characters in one line opencode shows not one, only where the whole is; Claude Code and Qwen Code show
#        the first 2,000, Copilot CLI 500, and name a file; Codex shows about 12,000 from both ends and keeps no file;
#        Gemini CLI 8,000 and 32,000 from the ends. Of as much in short lines opencode shows the first 2,000 lines.
# With:  @anthropic-ai/claude-code 2.1.332, @openai/codex 0.171.0, @google/gemini-cli 0.61.0, @qwen-code/qwen-code 0.24.4,
#        opencode-ai 1.18.33, @github/copilot 1.0.102 (npm), each for one turn against a model endpoint on this machine.
# Why:   what matters belongs into the first few hundred characters of an answer, and in lines. Paging on the server's side
#        is worth its arguments: the rest of an answer is a file that not every model may read, or nowhere.
set -euo pipefail
. "$(dirname "$0")/agents.sh"
agents_install claude codex gemini qwen opencode copilot
for agent in claude codex gemini qwen opencode copilot; do
    for tool in oneline lines; do ask_agent "$agent" "$tool"; done
done
judge 60 <<'PY'
from agents import seen_by_model
from wire import finish, show

facts = []
for agent in ("claude", "codex", "gemini", "qwen", "opencode", "copilot"):
    one, many = (seen_by_model(agent, tool) for tool in ("oneline", "lines"))
    shown = one.count("0123456789") * 10
    show(f"{agent}: of one line about {shown} characters, its end {'9END' in one}; of 12,000 lines {many.count('of the output')}")
    low, high = {"claude": (1500, 2500), "codex": (8000, 20000), "gemini": (35000, 45000), "qwen": (1500, 2500), "opencode": (0, 0), "copilot": (300, 600)}[agent]
    facts.append((low <= shown <= high, f"{agent} shows {shown}"))
    facts.append((("9END" in one) == (agent in ("codex", "gemini")), f"{agent} and the end"))
    facts.append((0 < many.count("of the output") < 12000, f"{agent} and lines"))
finish(*facts)
PY
