#!/usr/bin/env bash
# Guess: a framework shows its model a server's `instructions`, the message of an error, whether isError was set, and structured
#        content where there is no text.
# Seen:  none of the five shows the instructions. OpenAI Agents and Strands show the text of a failed call as that of a success.
#        Of a protocol error OpenAI Agents shows "An error occurred while running the tool. Please try again.", Agno adds that
#        "the MCP server may be unreachable or the request timed out". Of structured content alone OpenAI Agents shows "[]",
#        Strands nothing.
# With:  openai-agents 0.24.0, google-adk 2.13.0, pydantic-ai-slim 2.68.0, strands-agents 1.62.0, agno 3.1.10 on mcp 2.1.1 (PyPI),
#        each for one conversation with a model endpoint on this machine (Gemini's API for ADK, Chat Completions for the others).
# Why:   a model is told to repeat a call that the server refuses for a reason; an answer that is in the structured half alone is
#        no answer. What a server has to say belongs in descriptions and texts.
set -euo pipefail
. "$(dirname "$0")/frameworks.sh"
frameworks_install
for name in openai adk pydantic strands agno; do ask_framework "$name" fail,refuse,structured; done
judge 60 <<'PY'
import json

from agents import rows
from wire import finish, show

WANT = {"openai": (False, False, False), "adk": (True, True, True), "pydantic": (True, True, True), "strands": (False, True, False), "agno": (True, True, True)}
facts = []
for name, want in WANT.items():
    bodies = rows(name, "fail,refuse,structured", "model.log")
    said = bodies[-1].get("messages") or bodies[-1]["contents"]
    results = [json.dumps(one) for one in said if one["role"] == "tool" or "functionResponse" in json.dumps(one)]
    failed, refused, structured = results
    instructions = "INSTRUCTIONS-BEGIN" in json.dumps(bodies)
    got = '"isError": true' in failed or "rror" in failed.replace("isError", ""), "REFUSED-WORDS" in refused, "STRUCTURED-WORD" in structured
    show(f"{name}: instructions {instructions}; a failed call is marked {got[0]}; an error's message is shown {got[1]}; structured content alone {got[2]}")
    facts += [(not instructions, f"{name}: instructions"), (got == want, name), ("FAILED-WORDS" in failed, f"{name}: the text")]
    if name == "openai":
        facts.append(("Please try again" in refused and '"[]"' in structured, "OpenAI Agents' words"))
    if name == "agno":
        facts.append(("may be unreachable or the request timed out" in refused, "Agno's words"))
finish(*facts)
PY
