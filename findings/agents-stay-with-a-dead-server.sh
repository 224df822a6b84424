#!/usr/bin/env bash
# Guess: an agent whose stdio server exits in a call starts it again for the next one; a call is not sent twice.
# Seen:  Claude Code and Qwen Code start it again. The other four do not: the next call fails in Codex with "Transport closed" and
#        a stack backtrace, in Gemini CLI with "Not connected", and in Copilot CLI; opencode has taken the tools away, and tells
#        the model that it called an unavailable one. If the tool has readOnlyHint, Qwen Code sends the call again, four times in
#        all, each to a new process; the call after that, of another tool, it does not send at all and says that it "may have
#        completed".
# With:  @anthropic-ai/claude-code 2.1.332, @openai/codex 0.171.0, @google/gemini-cli 0.61.0, @qwen-code/qwen-code 0.24.4,
#        opencode-ai 1.18.33, @github/copilot 1.0.102 (npm), each for one turn against a model endpoint on this machine.
# Why:   after one crash four of six agents cannot use a server any more; one behind a thin process that never exits is safe from
#        that. A tool that only reads, and whose process goes down with it, takes down four.
set -euo pipefail
. "$(dirname "$0")/agents.sh"
agents_install claude codex gemini qwen opencode copilot
for agent in claude codex gemini qwen opencode copilot; do ask_agent "$agent" leave,both; done
ask_agent qwen glance,both
judge 60 <<'PY'
from agents import events, offered, seen_by_model
from wire import finish, show


def calls(agent, tools):
    return [one["value"]["params"]["name"] for one in events(agent, tools) if one["kind"] == "message" and one["value"]["method"] == "tools/call"]


TOLD = {"claude": "STRUCTURED-WORD", "qwen": "STRUCTURED-WORD", "codex": "Transport closed", "gemini": "Not connected",
        "opencode": "unavailable tool", "copilot": "probe"}
facts = []
for agent, told in TOLD.items():
    made, said = calls(agent, "leave,both"), seen_by_model(agent, "leave,both")
    has = any("both" in name for name in offered(agent, "leave,both"))
    restarts = agent in ("claude", "qwen")
    show(f"{agent}: calls {made}; the next call's answer has {told!r}: {told in said}" + ("" if agent in ("qwen", "copilot") else f"; its tools are offered: {has}"))
    facts.append((made == (["leave", "both"] if restarts else ["leave"]), f"{agent}: calls"))
    facts.append((told in said, f"{agent}: what the model is told"))
    facts.append((("STRUCTURED-WORD" in said) == restarts, f"{agent}: the next call"))
    # Qwen Code's model searches for tools; in Copilot CLI it is a matter of moments
    facts.append((agent in ("qwen", "copilot") or has == (agent != "opencode"), f"{agent}: tools"))
again, said = calls("qwen", "glance,both"), seen_by_model("qwen", "glance,both")
show(f"qwen, a tool that only reads: calls {again}; then it 'may have completed': {'may have completed' in said}")
facts.append((again == ["glance"] * 4 and "may have completed" in said, "qwen: a tool that only reads"))
backtrace = "Stack backtrace" in seen_by_model("codex", "leave,both")
finish(*facts, (backtrace, "codex: the backtrace"))
PY
