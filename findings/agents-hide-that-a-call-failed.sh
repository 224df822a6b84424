#!/usr/bin/env bash
# Guess: a model can see of each answer whether isError was set, since that is what it is for.
# Seen:  Codex, opencode and Copilot CLI show the text alone, as they do for a success (Copilot CLI with the server's name
#        before it). Claude Code marks it with is_error, Gemini CLI and Qwen Code with "reported tool error". Of a protocol error
#        Claude Code and Qwen Code show the message without the code, and Codex adds a stack backtrace with more than ten lines of
#        "<unknown>". An answer without content is an empty text in opencode and Copilot CLI.
# With:  @anthropic-ai/claude-code 2.1.332, @openai/codex 0.171.0, @google/gemini-cli 0.61.0, @qwen-code/qwen-code 0.24.4,
#        opencode-ai 1.18.33, @github/copilot 1.0.102 (npm), each for one turn against a model endpoint on this machine.
# Why:   "port 80 is in use" reads as a fact, not as a failure. The text of an error has to say itself that nothing was done.
set -euo pipefail
. "$(dirname "$0")/agents.sh"
agents_install claude codex gemini qwen opencode copilot
for agent in claude codex gemini qwen opencode copilot; do
    for tool in fail refuse nothing; do ask_agent "$agent" "$tool"; done
done
judge 60 <<'PY'
import re

from agents import seen_by_model
from wire import finish, show

MARKS = {"claude": '"is_error": true', "gemini": "reported tool error", "qwen": "reported tool error"}
facts = []
for agent in ("claude", "codex", "gemini", "qwen", "opencode", "copilot"):
    failed, refused, nothing = (seen_by_model(agent, tool) for tool in ("fail", "refuse", "nothing"))
    marked = bool(re.search("is_?error|reported|failed(?!-)|MCP error", failed, re.IGNORECASE))
    coded, trace = "-32603" in refused, refused.count("<unknown>")
    silent = '"content": ""' in nothing
    show(f"{agent}: isError is marked {marked}; the protocol error has its code {coded}, a backtrace of {trace} lines; "
         f"no content is an empty text {silent}")
    facts += [(marked == (agent in MARKS) and "FAILED-WORDS" in failed, f"{agent}: isError"), (MARKS.get(agent, "") in failed, f"{agent}: its mark"),
              ("REFUSED-WORDS" in refused and coded == (agent not in ("claude", "qwen")), f"{agent}: the protocol error"),
              ((trace > 10) == (agent == "codex"), f"{agent}: the backtrace"), (silent == (agent in ("opencode", "copilot")), f"{agent}: no content")]
prefixed = "MCP server 'probe': FAILED-WORDS" in seen_by_model("copilot", "fail")
finish(*facts, (prefixed, "copilot: the prefix"))
PY
