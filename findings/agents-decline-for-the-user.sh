#!/usr/bin/env bash
# Guess: an agent that runs one turn without a terminal (-p, exec) does not declare that it can ask its user, or answers a
#        question with an error; "decline" is the answer of a person.
# Seen:  Claude Code, Codex and Copilot CLI declare elicitation there too and answer that the user cancelled (Claude Code) or
#        declined (the other two). Copilot CLI also declares sampling, and does not answer such a question within
#        20 s. Codex and Copilot CLI answer `roots/list`, which they did not declare, with an empty list. Gemini CLI, Qwen Code
#        and opencode declare neither, and refuse with -32601.
# With:  @anthropic-ai/claude-code 2.1.332, @openai/codex 0.171.0, @google/gemini-cli 0.61.0, @qwen-code/qwen-code 0.24.4,
#        opencode-ai 1.18.33, @github/copilot 1.0.102 (npm), each for one turn against a model endpoint on this machine.
# Why:   a server that asks before it deletes is told that a person said no, though nobody was asked; one that asks Copilot
#        CLI's model waits in vain.
set -euo pipefail
. "$(dirname "$0")/agents.sh"
agents_install claude codex gemini qwen opencode copilot
for agent in claude codex gemini qwen opencode copilot; do ask_agent "$agent" ask; done
judge 60 <<'PY'
from agents import events
from wire import finish, show

WANT = {"claude": (["elicitation", "roots"], "cancel", "refused", 1), "codex": (["elicitation"], "decline", "refused", 0),
        "gemini": (["roots"], "refused", "refused", 1), "qwen": (["roots"], "refused", "refused", 1),
        "opencode": (["roots"], "refused", "refused", 1), "copilot": (["elicitation", "sampling"], "decline", "no answer", 0)}
facts = []
for agent, want in WANT.items():
    seen = events(agent, "ask")
    begin = next(one["value"]["params"] for one in seen if one["kind"] == "message" and one["value"]["method"] == "initialize")
    declared = sorted(set(begin["capabilities"]) & {"roots", "elicitation", "sampling"})
    answers = {one["value"]["id"]: one["value"] for one in seen if one["kind"] == "answer"}
    elicited, sampled = answers["elicitation/create"], answers.get("sampling/createMessage")
    got = (declared, elicited["result"]["action"] if "result" in elicited else "refused",
           "no answer" if sampled is None else "answered" if "result" in sampled else "refused", len(answers["roots/list"]["result"]["roots"]))
    show(f"{agent}: declares {got[0]}; a form: {got[1]}; a question to its model: {got[2]}; {got[3]} roots")
    codes = {one["error"]["code"] for one in (elicited, sampled) if one and "error" in one}
    facts.append((got == want and (agent not in ("gemini", "qwen", "opencode") or codes == {-32601}), agent))
finish(*facts)
PY
