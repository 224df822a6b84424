#!/usr/bin/env bash
# Guess: an agent gives a call minutes, as the others do; `notifications/cancelled` names a call that is under way.
# Seen:  opencode cancels a call that reports nothing after 60 s; one of 100 s that reports progress is answered. At the end of
#        its run it sends `notifications/cancelled` for a call that was answered. Claude Code, Codex, Gemini CLI, Qwen Code and
#        Copilot CLI give a silent call more than 75 s, and cancel no answered one.
# With:  @anthropic-ai/claude-code 2.1.332, @openai/codex 0.171.0, @google/gemini-cli 0.61.0, @qwen-code/qwen-code 0.24.4,
#        opencode-ai 1.18.33, @github/copilot 1.0.102 (npm), each for one turn against a model endpoint on this machine.
# Why:   opencode cancels a start that takes two minutes, unless it reports progress. A server that takes a late cancellation as
#        the wish to undo stops what it has just started.
set -euo pipefail
. "$(dirname "$0")/agents.sh"
agents_install claude codex gemini qwen opencode copilot
others=(claude codex gemini qwen copilot)
for agent in "${others[@]}"; do ask_agent "$agent" both; done
ask_agent opencode both
asked=()
for agent in "${others[@]}"; do
    ask_agent "$agent" quiet 130 &
    asked+=($!)
done
for tool in quiet slow; do
    ask_agent opencode "$tool" 180 &
    asked+=($!)
done
wait "${asked[@]}"
judge 60 <<'PY'
from agents import events, seen_by_model
from wire import finish, show


def life(agent, tool):
    """The seconds from the call to each cancellation, and to the end."""
    seen = events(agent, tool)
    begun = next(one["at"] for one in seen if one["kind"] == "message" and one["value"]["method"] == "tools/call")
    cancelled = [one["at"] - begun for one in seen if one["kind"] == "message" and one["value"]["method"] == "notifications/cancelled"]
    return cancelled, seen[-1]["at"] - begun


facts = []
for agent in ("claude", "codex", "gemini", "qwen", "copilot", "opencode"):
    answered, quiet = life(agent, "both")[0], life(agent, "quiet")
    first = quiet[0][0] if quiet[0] else quiet[1]
    show(f"{agent}: cancellations after an answer {len(answered)}; of a silent call: cancelled or ended after {first:.0f} s")
    odd = agent == "opencode"
    facts += [(bool(answered) == odd, f"{agent}: an answered call"), (55 < first < 70 if odd else first > 75, f"{agent}: a silent call")]
slow = "SLOW-DONE" in seen_by_model("opencode", "slow")
show(f"opencode: a call of 100 s that reports progress is answered: {slow}; a silent one: {'timed out' in seen_by_model('opencode', 'quiet')}")
finish(*facts, (slow, "progress"), ("timed out" in seen_by_model("opencode", "quiet"), "what the model is told"))
PY
