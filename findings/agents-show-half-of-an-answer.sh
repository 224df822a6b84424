#!/usr/bin/env bash
# Guess: an agent shows its model the whole answer of a tool, or at least the text of it, which the protocol says to send
#        for clients that do not know structured content.
# Seen:  of an answer with a text and structured content Claude Code and Codex show the structured content alone, Gemini
#        CLI and opencode the text alone, Qwen Code and Copilot CLI both. Of one with structured content and no text
#        Gemini CLI shows an empty object. Of text, image, link, resource, text Copilot CLI makes "FIRSTRESOURCE-TEXTLAST":
#        no separator, and nothing that hints at the image or the link; opencode leaves the link out.
# With:  @anthropic-ai/claude-code 2.1.332, @openai/codex 0.171.0, @google/gemini-cli 0.61.0, @qwen-code/qwen-code 0.24.4,
#        opencode-ai 1.18.33, @github/copilot 1.0.102 (npm), each for one turn against a model endpoint on this machine.
# Why:   a hint that is in the text alone, such as what to do next, never reaches the models of Claude Code and Codex; one
#        that is in the structured content alone never reaches those of Gemini CLI and opencode. Both halves must be whole.
set -euo pipefail
. "$(dirname "$0")/agents.sh"
agents_install claude codex gemini qwen opencode copilot
for agent in claude codex gemini qwen opencode copilot; do
    for tool in both structured items; do ask_agent "$agent" "$tool"; done
done
judge 60 <<'PY'
from agents import seen_by_model
from wire import finish, show

WANT = {"claude": "S", "codex": "S", "gemini": "T", "qwen": "TS", "opencode": "T", "copilot": "TS"}
facts = []
for agent, want in WANT.items():
    both, alone, items = (seen_by_model(agent, tool) for tool in ("both", "structured", "items"))
    got = ("T" if "TEXT-WORD" in both else "") + ("S" if "STRUCTURED-WORD" in both else "")
    kinds = [word for word in ("FIRST", "LINK-NAME", "RESOURCE-TEXT", "LAST") if word in items]
    show(f"{agent}: of text and structured content {got}; structured alone {'STRUCTURED-WORD' in alone}; of items {kinds}")
    facts.append((got == want, f"{agent} shows {got}, not {want}"))
    facts.append((("STRUCTURED-WORD" in alone) == (agent != "gemini"), f"{agent} and structured content alone"))
    facts.append((("LINK-NAME" in items) == (agent not in ("opencode", "copilot")), f"{agent} and a resource link"))
glued = seen_by_model("copilot", "items")
facts.append(("FIRSTRESOURCE-TEXTLAST" in glued, "copilot glues the items together"))
facts.append(("image" not in glued, "copilot says nothing of the image"))
finish(*facts)
PY
