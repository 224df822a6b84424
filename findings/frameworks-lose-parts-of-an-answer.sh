#!/usr/bin/env bash
# Guess: of an answer with text, an image, a link to a resource, a resource and text a model gets all parts, or is told which were
#        left out; an image is an image.
# Seen:  OpenAI Agents drops the image silently, and shows the link and the resource as JSON. ADK shows the whole answer as JSON,
#        the image as base64 text, which the model pays for and cannot see. Strands drops the link silently. Agno leaves out the
#        link with "[Unsupported content type: resource_link]". Pydantic AI has all, of the link its address alone, without name.
# With:  openai-agents 0.24.0, google-adk 2.13.0, pydantic-ai-slim 2.68.0, strands-agents 1.62.0, agno 3.1.10 on mcp 2.1.1 (PyPI),
#        each for one conversation with a model endpoint on this machine (Gemini's API for ADK, Chat Completions for the others).
# Why:   a screenshot is nothing to one agent and a hundred thousand letters to another; what a link says has to be in the text.
set -euo pipefail
. "$(dirname "$0")/frameworks.sh"
frameworks_install
for name in openai adk pydantic strands agno; do ask_framework "$name" items; done
judge 60 <<'PY'
import json

from agents import rows, seen_by_model
from wire import finish, show

PIXEL = "iVBORw0KGgo"
WANT = {"openai": ("none", True, True), "adk": ("text", True, True), "pydantic": ("image", True, False), "strands": ("image", False, False),
        "agno": ("image", False, False)}
facts = []
for name, want in WANT.items():
    whole = json.dumps(rows(name, "items", "model.log")[-1])
    image = "none" if PIXEL not in whole else "image" if f"data:image/png;base64,{PIXEL}" in whole else "text"
    got = image, "probe://a" in whole, "LINK-NAME" in whole
    show(f"{name}: the image is {image}; the link's address is shown {got[1]}, its name {got[2]}")
    facts += [(got == want, name), (all(word in whole for word in ("FIRST", "RESOURCE-TEXT", "LAST")), f"{name}: the texts")]
hinted = "Unsupported content type: resource_link" in seen_by_model("agno", "items"), "link" in seen_by_model("strands", "items").lower()
finish(*facts, (hinted == (True, False), "hints at the link"), ("image" not in seen_by_model("openai", "items"), "OpenAI Agents and the image"))
PY
