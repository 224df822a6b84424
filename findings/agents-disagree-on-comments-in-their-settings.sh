#!/usr/bin/env bash
# Guess: an agent's file of MCP servers is JSON, or JSON with comments and trailing commas; what it cannot read is an error.
# Seen:  opencode and Copilot CLI read both, Gemini CLI and Qwen Code comments alone, Claude Code neither. With a trailing
#        comma the commands of Gemini CLI and Qwen Code exit with an error; Claude Code's `mcp list` then says "No MCP
#        servers configured" for a project's .mcp.json, with status 0, and calls ~/.claude.json corrupted.
# With:  @anthropic-ai/claude-code 2.1.332, @google/gemini-cli 0.61.0, @qwen-code/qwen-code 0.24.4, opencode-ai 1.18.33,
#        @github/copilot 1.0.102 (npm).
# Why:   a tool that removes its entry behind a comment, and leaves the comma before it, keeps Gemini CLI from starting; one
#        comment in .mcp.json takes all of a project's servers from Claude Code. Test what is written with the strictest one.
set -euo pipefail
. "$(dirname "$0")/agents.sh"
agents_install claude gemini qwen opencode copilot
PROBE='{"command": "true"}'

# list AGENT KIND: "listed" or "absent", and the status of the agent's own list of servers
list() {
    local agent=$1 comment="" comma="" key=mcpServers entry=$PROBE home="$WORK/$1-$2" file status=0
    case $2 in comment) comment="// why" ;; comma) comma="," ;; esac
    mkdir -p "$home/work"
    git -C "$home/work" init -q
    case $agent in
        claude) file="$home/work/.mcp.json" ;;
        claude-user) file="$home/.claude.json" ;;
        gemini | qwen) file="$home/.$agent/settings.json" ;;
        opencode) file="$home/.config/opencode/opencode.json" key=mcp entry='{"type": "local", "command": ["true"]}' ;;
        copilot) file="$home/.copilot/mcp-config.json" entry='{"type": "local", "command": "true", "args": [], "tools": ["*"]}' ;;
    esac
    mkdir -p "$(dirname "$file")"
    printf '{ %s\n  "%s": {\n    "probe": %s%s\n  }\n}\n' "$comment" "$key" "$entry" "$comma" >"$file"
    (cd "$home/work" && HOME="$home" bounded 90 "${agent%-user}" mcp list) >"$home/out.txt" 2>&1 </dev/null || status=$?
    if grep -q probe "$home/out.txt"; then echo "listed $status"; else echo "absent $status"; fi
}

declare -A EXPECTED=(
    [claude plain]="listed 0" [claude comment]="absent 0" [claude comma]="absent 0"
    [claude-user plain]="listed 0" [claude-user comment]="absent 1" [claude-user comma]="absent 1"
    [gemini plain]="listed 0" [gemini comment]="listed 0" [gemini comma]="absent 52"
    [qwen plain]="listed 0" [qwen comment]="listed 0" [qwen comma]="absent 1"
    [opencode plain]="listed 0" [opencode comment]="listed 0" [opencode comma]="listed 0"
    [copilot plain]="listed 0" [copilot comment]="listed 0" [copilot comma]="listed 0"
)
changed=0
for agent in claude claude-user gemini qwen opencode copilot; do
    for kind in plain comment comma; do
        seen=$(list "$agent" "$kind")
        observed "$agent, $kind: ${seen% *}, status ${seen#* }"
        [ "$seen" = "${EXPECTED[$agent $kind]}" ] || changed=1
    done
done
verdict $changed
