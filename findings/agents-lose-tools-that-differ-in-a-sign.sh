#!/usr/bin/env bash
# Guess: tools named "open.it", "open-it" and "open_it", all of them valid names, are three tools to a model.
# Seen:  they are two in Claude Code and opencode ("open.it" and "open_it" become one), and in Copilot CLI ("open.it" and "open-it").
#        Claude Code and Copilot CLI keep the first, so that a call of open_it, or of open-it, arrives as open.it; opencode keeps
#        the last. Codex changes the names of all three, so that they stay apart; Gemini CLI keeps them.
# With:  @anthropic-ai/claude-code 2.1.332, @openai/codex 0.171.0, @google/gemini-cli 0.61.0, opencode-ai 1.18.33,
#        @github/copilot 1.0.102 (npm), each for one turn against a model endpoint on this machine.
# Why:   of a gateway that publishes "db.start" next to "db_start", Claude Code calls one for the other, and opencode has only one.
set -euo pipefail
. "$(dirname "$0")/agents.sh"
agents_install claude codex gemini opencode copilot
export PROBE_NAMES="open.it open-it open_it"
for agent in claude opencode; do ask_agent "$agent" open_it; done
ask_agent copilot open-it
for agent in codex gemini; do ask_agent "$agent" both; done
judge 60 <<'PY'
import re

from agents import events, offered
from wire import finish, show

WANT = {"claude": ("open_it", ["open-it", "open.it"], "open.it"), "opencode": ("open_it", ["open-it", "open_it"], "open_it"),
        "copilot": ("open-it", ["open.it", "open_it"], "open.it"), "codex": ("both", ["open-it", "open.it", "open_it"], None),
        "gemini": ("both", ["open-it", "open.it", "open_it"], None)}
facts = []
for agent, (tool, kept, called) in WANT.items():
    found = {name: re.search("named (open.it)", text) for name, (text, _) in offered(agent, tool).items()}
    names = {name: match[1] for name, match in found.items() if match}
    calls = [one["value"]["params"]["name"] for one in events(agent, tool) if one["kind"] == "message" and one["value"]["method"] == "tools/call"]
    show(f"{agent}: {names}" + (f"; a call of {tool} arrives as {calls}" if called else ""))
    unchanged = [name.endswith(tool) for name, tool in names.items()]
    facts += [(sorted(names.values()) == kept, f"{agent}: tools"), (agent != "codex" or not any(unchanged), f"{agent}: its names"),
              (agent != "gemini" or all(unchanged), f"{agent}: its names"), (called is None or calls == [called], f"{agent}: the call")]
finish(*facts)
PY
