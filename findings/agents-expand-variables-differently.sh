#!/usr/bin/env bash
# Guess: an entry of mcp.json that is copied from one agent to another means the same there: ${VAR} is the variable,
#        ${VAR:-default} has a default, and one that is not set is an error, or nothing. A password with $ is text.
# Seen:  ${VAR} is the variable in Claude Code, Gemini CLI, Qwen Code and Copilot CLI, plain text in Codex and opencode;
#        $VAR in Gemini CLI, Qwen Code and Copilot CLI; ${VAR:-default} in Claude Code, Gemini CLI and Copilot CLI. Where
#        it is not set, the server gets the text "${VAR}", without an error; in Gemini CLI nothing, and "pa$sword" arrives
#        there as "pa", "a$$b" as "a$". opencode has {env:VAR} alone, also inside ${env:VAR}, which becomes "$" and the
#        value; Codex has no variables in an entry's env.
# With:  @anthropic-ai/claude-code 2.1.332, @openai/codex 0.171.0, @google/gemini-cli 0.61.0, @qwen-code/qwen-code 0.24.4,
#        opencode-ai 1.18.33, @github/copilot 1.0.102 (npm), each for one turn against a model endpoint on this machine.
# Why:   a server starts with "${TOKEN}" for a token, and fails only at its first call. What reads agents' files must
#        know whose file it is, refuse what is not set instead of handing on the text, and leave a $ in a password alone.
set -euo pipefail
. "$(dirname "$0")/agents.sh"
agents_install claude codex gemini qwen opencode copilot
# shellcheck disable=SC2016
PROBE_ENV='{"V_SET":"${USER_SETTING}","V_BARE":"$USER_SETTING","V_DEFAULT":"${NOT_SET:-other}","V_UNSET":"${NOT_SET}","V_PASSWORD":"pa$sword","V_TWO":"a$$b","V_ENV":"${env:USER_SETTING}","V_OPEN":"{env:USER_SETTING}","V_OPEN_UNSET":"{env:NOT_SET}"}'
# shellcheck disable=SC2034
CODEX_SERVER="env = $(sed 's/":"/"="/g' <<<"$PROBE_ENV")"$'\nrequired = true'
for agent in claude codex gemini qwen opencode copilot; do ask_agent "$agent" both; done
judge 60 "$PROBE_ENV" <<'PY'
import json
import sys

from agents import events
from wire import finish, show

WRITTEN = json.loads(sys.argv[1])
VARIABLE, BARE, DEFAULT = {"V_SET": "plain"}, {"V_BARE": "plain"}, {"V_DEFAULT": "other"}
CHANGED = {
    "claude": VARIABLE | DEFAULT,
    "codex": {},
    "gemini": VARIABLE | BARE | DEFAULT | {"V_UNSET": "", "V_PASSWORD": "pa", "V_TWO": "a$", "V_ENV": ""},
    "qwen": VARIABLE | BARE,
    "opencode": {"V_ENV": "$plain", "V_OPEN": "plain", "V_OPEN_UNSET": ""},
    "copilot": VARIABLE | BARE | DEFAULT,
}
facts = []
for agent, changed in CHANGED.items():
    given = next(event["value"] for event in events(agent, "both") if event["kind"] == "start")
    got = {name: given.get(name) for name, text in WRITTEN.items() if given.get(name) != text}
    show(f"{agent} changes " + (", ".join(f"{WRITTEN[name]} to {value!r}" for name, value in got.items()) or "nothing"))
    facts.append((got == changed, f"{agent} changes {got}"))
finish(*facts)
PY
