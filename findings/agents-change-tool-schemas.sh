#!/usr/bin/env bash
# Guess: a model sees the input schema of a tool as its server wrote it, and the whole description.
# Seen:  Codex drops bounds, patterns, lengths and defaults, and keeps types, enums and descriptions. Copilot CLI takes
#        bounds and patterns out of the schema and writes them into the description. Gemini CLI adds an argument
#        "wait_for_previous" that the server never named. Claude Code cuts a description of 6,000 characters at about
#        4,100. Names of 60 characters are cut in the middle by Gemini CLI and at the end by Copilot CLI (64 in all).
# With:  @anthropic-ai/claude-code 2.1.332, @openai/codex 0.171.0, @google/gemini-cli 0.61.0, opencode-ai 1.18.33,
#        @github/copilot 1.0.102 (npm), each for one turn against a model endpoint on this machine.
# Why:   what a model must know of an argument belongs into its description, since the schema's own words may be gone; a
#        server that refuses unknown arguments with force meets one that no one wrote; long names meet each other.
set -euo pipefail
. "$(dirname "$0")/agents.sh"
agents_install claude codex gemini opencode copilot
for agent in claude codex gemini opencode copilot; do ask_agent "$agent" rich; done
judge 60 <<'PY'
from agents import offered
from wire import finish, show

facts = []
for agent in ("claude", "codex", "gemini", "opencode", "copilot"):
    tools = offered(agent, "rich")
    about, schema = next(value for name, value in tools.items() if name.endswith("rich"))
    keys = schema["properties"]
    bounds, default = "maximum" in keys["port"] and "pattern" in keys["name"], "default" in keys["mode"]
    whole = any(name.endswith("n" * 60) for name in tools)
    show(f"{agent}: bounds {bounds}, default {default}, args {sorted(keys)}, description {len(about)}, port {keys['port'].get('description')!r}, long name {whole}")
    facts += [
        (bounds == (agent not in ("codex", "copilot")), f"{agent} and the bounds"),
        (default == (agent != "codex"), f"{agent} and the default"),
        (("wait_for_previous" in keys) == (agent == "gemini"), f"{agent} and an added argument"),
        ((len(about) == 6000) == (agent != "claude"), f"{agent} and the description"),
        (whole == (agent not in ("gemini", "copilot")), f"{agent} and the long name"),
        ("PORT-WORDS" in keys["port"].get("description", ""), f"{agent} and the description of an argument"),
    ]
finish(*facts)
PY
