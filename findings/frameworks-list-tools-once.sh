#!/usr/bin/env bash
# Guess: a framework that hears `notifications/tools/list_changed` lists the tools again before its model's next turn.
# Seen:  a server adds a tool while one of its tools is called, sends the notification and answers two seconds later. Pydantic AI
#        lists again, OpenAI Agents lists before each turn anyway. Google ADK, Strands and Agno never list again: their models do
#        not see the tool, and a call of it is answered without the server ("no tool with that name", "Unknown tool", "does not
#        exist").
# With:  openai-agents 0.24.0, google-adk 2.13.0, pydantic-ai-slim 2.68.0, strands-agents 1.62.0, agno 3.1.10 on mcp 2.1.1 (PyPI),
#        each for one conversation with a model endpoint on this machine (Gemini's API for ADK, Chat Completions for the others).
# Why:   a server whose tools depend on what runs works under two of five; under the others everything has to be there from the
#        start.
set -euo pipefail
. "$(dirname "$0")/frameworks.sh"
frameworks_install
for name in openai adk pydantic strands agno; do ask_framework "$name" grow,later; done
judge 60 <<'PY'
from agents import events, offered, seen_by_model
from wire import finish, show

facts = []
for name in ("openai", "adk", "pydantic", "strands", "agno"):
    heard = [one["value"] for one in events(name, "grow,later") if one["kind"] == "message"]
    lists = [one["method"] for one in heard].count("tools/list")
    calls = [one["params"]["name"] for one in heard if one["method"] == "tools/call"]
    has, said = "later" in offered(name, "grow,later"), seen_by_model(name, "grow,later")
    show(f"{name}: listed {lists} times; the model is offered the new tool {has}; calls that came {calls}")
    follows = name in ("openai", "pydantic")
    facts += [((lists > 1) == follows == has, f"{name}: lists"), (calls == (["grow", "later"] if follows else ["grow"]), f"{name}: calls"),
              (follows or any(words in said for words in ("no tool with that name", "Unknown tool", "does not exist")), f"{name}: what the model is told")]
finish(*facts)
PY
