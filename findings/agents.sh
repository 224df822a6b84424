# Shared by the scripts about coding agents: source it first, it sources lib.sh. It runs the real command lines of
# six agents for one turn each, against a model endpoint on this machine that calls one tool and then says DONE, so no
# account is needed.
# shellcheck shell=bash
#
#   agents_install NAME…            of: claude codex gemini qwen opencode copilot (versions below)
#   ask_agent NAME TOOL [SECONDS]   one turn in which the model calls TOOL of the MCP server "probe"; "a,b" are two calls, one
#                                   after the other, "a+b" two in one answer
#
# It leaves in $WORK/NAME-TOOL: probe.log (what the server saw: its environment, messages, signals), model.log (what the
# agent sent to its model), out.txt and err.txt. `agents.py` reads them. Environment variables of the agent's own process
# are USER_SETTING=plain and SERVICE_TOKEN=secret-1. The server takes PROBE_DELAY seconds to refuse `server/discover`, and
# PROBE_INITIALIZE seconds for `initialize`. PROBE_NAMES are names of more tools, PROBE_INSTRUCTIONS the length of its
# instructions (3000). PROBE_ENV is a JSON object of variables in the server's entry, CODEX_SERVER more of that entry in Codex's
# configuration (`required = true`, without which the first turn on a busy machine lacks the tools). With PROBE_HTTP=1 the server is
# reached over HTTP, and has other tools: "forget" and "both".

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need git

declare -A AGENTS=(
    [claude]=@anthropic-ai/claude-code@2.1.332 [codex]=@openai/codex@0.171.0 [gemini]=@google/gemini-cli@0.61.0
    [qwen]=@qwen-code/qwen-code@0.24.4 [opencode]=opencode-ai@1.18.33 [copilot]=@github/copilot@1.0.102
)

agents_install() {
    local name packages=(node@24.20.0)
    for name in "$@"; do packages+=("${AGENTS[$name]}"); done
    npm_install "${packages[@]}"
    # where npm runs no install scripts, these two fetch or link their programs only then
    (cd "$WORK/node" && HOME="$USER_HOME" timeout 300 npm rebuild node opencode-ai @anthropic-ai/claude-code >/dev/null 2>&1) || true
}

ask_agent() {
    local name=$1 tool=$2 limit=${3:-90} port model
    local folder="$WORK/$name-$tool" home="$WORK/$name-$tool/home" work="$WORK/$name-$tool/work"
    mkdir -p "$home" "$work"
    git -C "$work" init -q
    port=$(free_port)
    CALL=$tool python3 "$WORK/lib/model.py" "$port" "$folder/model.log" &
    model=$!
    wait_for 10 listens "$port" || unable "the model endpoint"
    local probe="$WORK/lib/probe.py" log="$folder/probe.log" url="http://127.0.0.1:$port"
    local entry="\"command\":\"python3\",\"args\":[\"$probe\",\"$log\"]${PROBE_ENV:+,\"env\":$PROBE_ENV}" remote="" served=""
    if [ -n "${PROBE_HTTP:-}" ]; then
        port=$(free_port)
        python3 "$WORK/lib/http_probe.py" "$port" "$log" &
        served=$!
        wait_for 10 listens "$port" || unable "the probe over HTTP"
        remote="http://127.0.0.1:$port/mcp"
        entry="\"type\":\"http\",\"url\":\"$remote\""
        case $name in gemini | qwen) entry="\"httpUrl\":\"$remote\"" ;; esac
    fi
    case $name in
        claude) echo "{\"mcpServers\":{\"probe\":{$entry}}}" >"$work/.mcp.json" ;;
        codex)
            mkdir -p "$home/.codex"
            printf '%s\n' 'model = "m"' 'model_provider = "here"' '[model_providers.here]' 'name = "here"' \
                "base_url = \"$url/v1\"" 'wire_api = "responses"' '[mcp_servers.probe]' "${CODEX_SERVER-required = true}" >"$home/.codex/config.toml"
            if [ -n "$remote" ]; then
                echo "url = \"$remote\""
            else
                printf '%s\n' 'command = "python3"' "args = [\"$probe\", \"$log\"]" 'env_vars = ["PROBE_DELAY", "PROBE_INITIALIZE", "PROBE_NAMES"]'
            fi >>"$home/.codex/config.toml" ;;
        gemini | qwen)
            mkdir -p "$home/.$name"
            local kind=openai
            [ "$name" = gemini ] && kind=gemini-api-key
            echo "{\"mcpServers\":{\"probe\":{$entry,\"trust\":true}},\"security\":{\"auth\":{\"selectedType\":\"$kind\"}}}" \
                >"$home/.$name/settings.json" ;;
        opencode)
            local opened="\"type\":\"local\",\"command\":[\"python3\",\"$probe\",\"$log\"]${PROBE_ENV:+,\"environment\":$PROBE_ENV}"
            [ -z "$remote" ] || opened="\"type\":\"remote\",\"url\":\"$remote\""
            echo "{\"provider\":{\"here\":{\"npm\":\"@ai-sdk/openai-compatible\",\"options\":{\"baseURL\":\"$url/v1\",\"apiKey\":\"k\"},\"models\":{\"m\":{\"tool_call\":true}}}},\"model\":\"here/m\",\"mcp\":{\"probe\":{$opened}}}" \
                >"$work/opencode.json" ;;
        copilot)
            mkdir -p "$home/.copilot"
            [ -n "$remote" ] || entry="\"type\":\"local\",$entry"
            echo "{\"mcpServers\":{\"probe\":{$entry,\"tools\":[\"*\"]}}}" >"$home/.copilot/mcp-config.json" ;;
    esac
    (
        mkdir -p "$work/${AGENT_FOLDER:-.}" "$WORK/t"
        cd "$work/${AGENT_FOLDER:-.}"
        export HOME="$home" USER_SETTING=plain SERVICE_TOKEN=secret-1
        export TMPDIR="$WORK/t" # opencode leaves a library of 5 MB in it for each run; short, since sockets are made there
        case $name in
            claude)
                export ANTHROPIC_BASE_URL=$url ANTHROPIC_API_KEY=k CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 ENABLE_TOOL_SEARCH=false
                bounded "$limit" claude -p go --mcp-config "$work/.mcp.json" --strict-mcp-config --allowedTools mcp__probe ;;
            codex) bounded "$limit" codex exec --skip-git-repo-check --dangerously-bypass-approvals-and-sandbox go ;;
            gemini | qwen)
                export GEMINI_API_KEY=k GOOGLE_GEMINI_BASE_URL=$url GEMINI_CLI_TRUST_WORKSPACE=true
                export OPENAI_API_KEY=k OPENAI_BASE_URL=$url/v1 OPENAI_MODEL=gemini-2.5-pro
                bounded "$limit" "$name" --yolo -m gemini-2.5-pro -p go ;;
            opencode) bounded "$limit" opencode run go ;;
            copilot)
                export COPILOT_PROVIDER_BASE_URL=$url/v1 COPILOT_PROVIDER_API_KEY=k COPILOT_MODEL=m
                bounded "$limit" copilot -p go --allow-all-tools ;;
        esac
    ) >"$folder/out.txt" 2>"$folder/err.txt" </dev/null || true
    sleep 4 # what an agent does to its servers at the end takes up to 3 s
    kill "$model" ${served:+"$served"} 2>/dev/null || true
    [ -s "$folder/probe.log" ] || { tail -3 "$folder/err.txt" >&2; unable "$name started no MCP server"; }
}

cat >"$WORK/lib/probe.py" <<'PYTHON'
"""An MCP server over stdio, 2025-11-25, that writes down what happens to it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

LOG = sys.argv[1]
LOCK = threading.Lock()
DELAY = float(os.environ.get("PROBE_DELAY", 0))


def log(kind, value=None):
    with LOCK, open(LOG, "a") as file:
        file.write(json.dumps({"at": time.time(), "pid": os.getpid(), "kind": kind, "value": value}) + "\n")


def on_signal(number, _frame):
    log("signal", signal.Signals(number).name)
    os._exit(0)


for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, on_signal)
if len(sys.argv) > 2:  # the detached child below
    log("child", os.getsid(0) == os.getpid())
    time.sleep(60)
    sys.exit()
log("start", dict(os.environ))
log("folder", os.getcwd())
EMPTY = {"type": "object", "properties": {}}
WORD = {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}
RICH = {
    "type": "object",
    "properties": {
        "port": {"type": "integer", "minimum": 1, "maximum": 65535, "description": "PORT-WORDS"},
        "name": {"type": "string", "pattern": "^[a-z]+$", "minLength": 1},
        "mode": {"enum": ["a", "b"], "default": "a"},
        "args": {"type": "object", "additionalProperties": True},
    },
    "required": ["port"],
}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
TOOLS = [
    {"name": "both", "description": "text and structured content", "inputSchema": EMPTY, "outputSchema": WORD},
    {"name": "structured", "description": "structured content alone", "inputSchema": EMPTY, "outputSchema": WORD},
    {"name": "items", "description": "several kinds of content", "inputSchema": EMPTY},
    {"name": "lines", "description": "long, in lines", "inputSchema": EMPTY},
    {"name": "oneline", "description": "long, in one line", "inputSchema": EMPTY},
    {"name": "slow", "description": "takes 100 s and reports progress", "inputSchema": EMPTY},
    {"name": "child", "description": "starts a process in a session of its own", "inputSchema": EMPTY},
    {"name": "grow", "description": "adds the tool 'later'", "inputSchema": EMPTY},
    {"name": "leave", "description": "ends the server without an answer", "inputSchema": EMPTY},
    {"name": "glance", "description": "ends the server without an answer, and changes nothing", "inputSchema": EMPTY, "annotations": {"readOnlyHint": True}},
    {"name": "work", "description": "takes 3 s", "inputSchema": EMPTY},
    {"name": "look", "description": "takes 3 s and changes nothing", "inputSchema": EMPTY, "annotations": {"readOnlyHint": True}},
    {"name": "quiet", "description": "takes 150 s and reports nothing", "inputSchema": EMPTY},
    {"name": "ask", "description": "asks for roots and an answer of the user", "inputSchema": EMPTY},
    {"name": "fail", "description": "fails", "inputSchema": EMPTY},
    {"name": "refuse", "description": "fails with an error of the protocol", "inputSchema": EMPTY},
    {"name": "nothing", "description": "answers nothing", "inputSchema": EMPTY},
    {"name": "rich", "description": "D" * 6000, "inputSchema": RICH},
    {"name": "n" * 60, "description": "a long name", "inputSchema": EMPTY},
    *({"name": name, "description": f"named {name}", "inputSchema": EMPTY} for name in os.environ.get("PROBE_NAMES", "").split()),
]


def send(message):
    with LOCK:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def text(*parts):
    return {"content": [{"type": "text", "text": part} for part in parts]}


def call(name):
    if name == "both":
        return {**text("TEXT-WORD"), "structuredContent": {"word": "STRUCTURED-WORD"}}
    if name == "structured":
        return {"content": [], "structuredContent": {"word": "STRUCTURED-WORD"}}
    if name == "items":
        linked = {"type": "resource_link", "uri": "probe://a", "name": "LINK-NAME"}
        resource = {"type": "resource", "resource": {"uri": "probe://b", "mimeType": "text/plain", "text": "RESOURCE-TEXT"}}
        image = {"type": "image", "data": PIXEL, "mimeType": "image/png"}
        return {"content": [*text("FIRST")["content"], image, linked, resource, *text("LAST")["content"]]}
    if name == "lines":
        return text("BEGIN\n" + "".join(f"line {number} of the output\n" for number in range(12_000)) + "END")
    if name == "oneline":
        return text("BEGIN" + "0123456789" * 30_000 + "END")
    if name == "grow":
        TOOLS.append({"name": "later", "description": "added", "inputSchema": EMPTY})
        send({"method": "notifications/tools/list_changed"})
        time.sleep(2)  # for a client that lists again
    if name in ("leave", "glance"):
        os._exit(7)
    if name == "fail":
        return {**text("FAILED-WORDS"), "isError": True}
    if name == "nothing":
        return {"content": []}
    if name == "child":
        subprocess.Popen([sys.executable, __file__, LOG, "child"], start_new_session=True, stdout=subprocess.DEVNULL)
    return text("OK")


def work(key, name):
    log("begin", name)
    time.sleep(150 if name == "quiet" else 3)
    log("end", name)
    send({"id": key, "result": text(name.upper() + "-DONE")})


ANSWERS = {}


def ask(key):
    """Three questions to the client, one after the other; each is logged with its answer."""
    form = {"message": "Go on?", "mode": "form", "requestedSchema": {"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"]}}
    said = {"messages": [{"role": "user", "content": {"type": "text", "text": "hello"}}], "maxTokens": 10}
    for method, params in (("roots/list", None), ("elicitation/create", form), ("sampling/createMessage", said)):
        ANSWERS[method] = threading.Event()
        send({"id": method, "method": method, **({"params": params} if params else {})})
        ANSWERS[method].wait(20)
        log("asked", method)
    send({"id": key, "result": text("ASK-DONE")})


def slow(key, token):
    for second in range(100):
        time.sleep(1)
        if token is not None:
            send({"method": "notifications/progress", "params": {"progressToken": token, "progress": second, "total": 100}})
    log("slow call finished")
    send({"id": key, "result": text("SLOW-DONE")})


for line in sys.stdin:
    message = json.loads(line)
    method, params, key = message.get("method"), message.get("params") or {}, message.get("id")
    log("message", {"method": method, "params": params})
    if method is None:
        log("answer", message)
        if key in ANSWERS:
            ANSWERS[key].set()
    if method is None or key is None:
        continue
    if method == "server/discover" and DELAY:
        threading.Timer(DELAY, send, [{"id": key, "error": {"code": -32601, "message": "Method not found"}}]).start()
        continue
    if method == "initialize":
        time.sleep(float(os.environ.get("PROBE_INITIALIZE", 0)))
        info = {"name": "probe", "version": "1"}
        words = "INSTRUCTIONS-BEGIN " + "i" * int(os.environ.get("PROBE_INSTRUCTIONS", 3000)) + " INSTRUCTIONS-END"
        send({"id": key, "result": {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {"listChanged": True}}, "serverInfo": info, "instructions": words}})
    elif method == "tools/list":
        send({"id": key, "result": {"tools": TOOLS}})
    elif method == "tools/call" and params["name"] == "slow":
        threading.Thread(target=slow, args=(key, (params.get("_meta") or {}).get("progressToken")), daemon=True).start()
    elif method == "tools/call" and params["name"] in ("work", "look", "quiet"):
        threading.Thread(target=work, args=(key, params["name"]), daemon=True).start()
    elif method == "tools/call" and params["name"] == "ask":
        threading.Thread(target=ask, args=(key,), daemon=True).start()
    elif method == "tools/call" and params["name"] == "refuse":
        send({"id": key, "error": {"code": -32603, "message": "REFUSED-WORDS"}})
    elif method == "tools/call" and params["name"] == "grow":
        threading.Thread(target=lambda: send({"id": key, "result": call("grow")}), daemon=True).start()
    elif method == "tools/call":
        send({"id": key, "result": call(params["name"])})
    elif method == "ping":
        send({"id": key, "result": {}})
    else:
        send({"id": key, "error": {"code": -32601, "message": "Method not found"}})
log("stdin closed")
PYTHON

cat >"$WORK/lib/http_probe.py" <<'PYTHON'
"""The probe over streamable HTTP, 2025-11-25, with sessions: `forget` forgets them all, as a restart of the server does."""

import http.server
import json
import secrets
import sys
import time

LOG, SESSIONS = sys.argv[2], set()
EMPTY = {"type": "object", "properties": {}}
TOOLS = [{"name": name, "description": name, "inputSchema": EMPTY} for name in ("forget", "both")]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, message=None, **headers):
        body = b"" if message is None else json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log(self, **facts):
        with open(LOG, "a") as file:
            file.write(json.dumps({"at": time.time(), "kind": self.command, **facts}) + "\n")

    def do_GET(self):
        self.log(value=None)
        self.reply(405)

    def do_DELETE(self):
        self.log(value=None)
        self.reply(200)

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        method, params, key = message.get("method"), message.get("params") or {}, message.get("id")
        session = self.headers.get("Mcp-Session-Id")
        lost = session is not None and session not in SESSIONS
        self.log(value={"method": method, "params": params}, lost=lost)
        if lost:
            return self.reply(404, {"id": key, "error": {"code": -32001, "message": "Session not found"}})
        if method == "initialize":
            session = secrets.token_hex(8)
            SESSIONS.add(session)
            result = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "probe", "version": "1"}}
            return self.reply(200, {"id": key, "result": result}, **{"Mcp-Session-Id": session})
        if key is None:
            return self.reply(202)
        if session is None:
            return self.reply(400, {"id": key, "error": {"code": -32600, "message": "Bad Request: no session"}})
        if method == "tools/list":
            return self.reply(200, {"id": key, "result": {"tools": TOOLS}})
        if method == "tools/call":
            if params["name"] == "forget":
                SESSIONS.clear()
            return self.reply(200, {"id": key, "result": {"content": [{"type": "text", "text": "ANSWER-OF-" + params["name"].upper()}]}})
        if method == "ping":
            return self.reply(200, {"id": key, "result": {}})
        return self.reply(200, {"id": key, "error": {"code": -32601, "message": "Method not found"}})


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
PYTHON

cat >"$WORK/lib/model.py" <<'PYTHON'
"""A model behind four APIs. Its first answer calls the tool $CALL of the server "probe", its second says DONE. "a,b" is one
call in each of two answers, "a+b" are two calls in one answer."""

import http.server
import json
import os
import sys

TURNS, LOG = [turn.split("+") for turn in os.environ["CALL"].split(",")], sys.argv[2]
USAGE = {"input_tokens": 1, "output_tokens": 1, "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


def due(results):
    """The tools to call in this answer, after so many results."""
    begun = 0
    for turn in TURNS:
        if results <= begun:
            return turn
        begun += len(turn)
    return []


def pick(call, names):
    # an agent that shows its tools only after a search still takes the name
    return next((name for name in names if name == call or name.endswith(("_" + call, "-" + call))), "mcp__probe__" + call)


def anthropic(body):
    results = sum(part.get("type") == "tool_result" for one in body["messages"] for part in one["content"] if isinstance(part, dict))
    calls = due(results)
    parts = [({"type": "text", "text": ""}, {"type": "text_delta", "text": "DONE"})]
    if calls and body.get("tools"):
        names = [tool["name"] for tool in body["tools"]]
        uses = [{"type": "tool_use", "id": f"toolu_{results}_{index}", "name": pick(call, names), "input": {}} for index, call in enumerate(calls)]
        parts = [(use, {"type": "input_json_delta", "partial_json": "{}"}) for use in uses]
    stop = "end_turn" if "text" in parts[0][0] else "tool_use"
    whole = {"id": "m", "type": "message", "role": "assistant", "model": body["model"], "content": [], "stop_reason": None, "usage": USAGE}
    if not body.get("stream"):
        return {**whole, "content": [{"type": "text", "text": "DONE"}], "stop_reason": "end_turn"}
    blocks = []
    for index, (start, delta) in enumerate(parts):
        blocks += [
            {"type": "content_block_start", "index": index, "content_block": start},
            {"type": "content_block_delta", "index": index, "delta": delta},
            {"type": "content_block_stop", "index": index},
        ]
    return [
        {"type": "message_start", "message": whole},
        *blocks,
        {"type": "message_delta", "delta": {"stop_reason": stop}, "usage": USAGE},
        {"type": "message_stop"},
    ]


def chat(body):
    results = sum(message["role"] == "tool" for message in body["messages"])
    calls = due(results)
    names = [tool["function"]["name"] for tool in body.get("tools") or []]
    if not calls or not names:
        message, why = {"role": "assistant", "content": "DONE"}, "stop"
    else:
        uses = [
            {"index": index, "id": f"call_{results}_{index}", "type": "function", "function": {"name": pick(call, names), "arguments": "{}"}}
            for index, call in enumerate(calls)
        ]
        message, why = {"role": "assistant", "content": None, "tool_calls": uses}, "tool_calls"
    whole = {"id": "c", "created": 1, "model": body["model"], "usage": USAGE}
    if not body.get("stream"):
        return {**whole, "object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": why}]}
    chunk = {**whole, "object": "chat.completion.chunk"}
    return [
        {**chunk, "choices": [{"index": 0, "delta": message, "finish_reason": None}]},
        {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": why}]},
        "[DONE]",
    ]


def responses(body):
    results = sum(one.get("type") == "function_call_output" for one in body["input"])
    items = []
    for index, call in enumerate(due(results)):
        spaces = [tool["name"] for tool in body.get("tools") or [] for inner in tool.get("tools", []) if inner["name"] == call]
        if spaces:
            items.append({"type": "function_call", "id": f"f{results}{index}", "call_id": f"call_{results}_{index}", "name": call, "namespace": spaces[0],
                          "arguments": "{}", "status": "completed"})
    if not items:
        text = {"type": "output_text", "text": "DONE", "annotations": []}
        items = [{"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [text]}]
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2, "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    whole = {"id": "r", "object": "response", "created_at": 1, "status": "completed", "model": body["model"], "output": items, "usage": usage}
    events = [{"type": "response.created", "response": {**whole, "status": "in_progress", "output": []}}]
    for index, item in enumerate(items):
        events += [{"type": f"response.output_item.{what}", "output_index": index, "item": item} for what in ("added", "done")]
    return [*events, {"type": "response.completed", "response": whole}]


def gemini(body):
    calls = due(sum("functionResponse" in part for one in body.get("contents") or [] for part in one.get("parts", [])))
    names = [one["name"] for tool in body.get("tools") or [] for one in tool.get("functionDeclarations", [])]
    parts = [{"functionCall": {"name": pick(call, names), "args": {}}} for call in calls] if names else []
    answer = {"content": {"role": "model", "parts": parts or [{"text": "DONE"}]}, "finishReason": "STOP", "index": 0}
    return [{"candidates": [answer], "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}}]


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def reply(self, status, body, kind):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.reply(404, b"{}", "application/json")

    do_HEAD = do_GET

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        path = self.path.partition("?")[0]
        kinds = {"/messages": anthropic, "/chat/completions": chat, "/responses": responses}
        serve = next((kinds[end] for end in kinds if path.endswith(end)), gemini if ":" in path else None)
        if serve is None:
            return self.reply(200, b'{"input_tokens": 1}', "application/json")
        with open(LOG, "a") as file:
            file.write(json.dumps(body) + "\n")
        answer = serve(body)
        if isinstance(answer, dict):
            return self.reply(200, json.dumps(answer).encode(), "application/json")
        if serve is gemini and "stream" not in path:
            return self.reply(200, json.dumps(answer[0]).encode(), "application/json")
        named = serve in (anthropic, responses)
        lines = [(f"event: {one['type']}\n" if named else "") + f"data: {one if one == '[DONE]' else json.dumps(one)}\n\n" for one in answer]
        return self.reply(200, "".join(lines).encode(), "text/event-stream")


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
PYTHON

cat >"$WORK/lib/agents.py" <<'PYTHON'
"""Reads what `ask_agent` left."""

import json
import os
from pathlib import Path


def rows(agent, tool, name):
    return [json.loads(line) for line in (Path(os.environ["WORK"]) / f"{agent}-{tool}" / name).read_text().splitlines()]


def seen_by_model(agent, tool):
    """The text of the tool's result in the last request to the model, as JSON."""
    body = rows(agent, tool, "model.log")[-1]
    said = body.get("messages") or body.get("input") or body.get("contents")
    marks = ("tool_result", "function_call_output", '"role": "tool"', "functionResponse")
    last = max((index for index, one in enumerate(said) if any(mark in json.dumps(one) for mark in marks)), default=None)
    return "" if last is None else json.dumps(said[last:])


def offered(agent, tool):
    """The tools in that request: name → (description, schema)."""
    found = {}
    for one in rows(agent, tool, "model.log")[-1].get("tools") or []:
        for inner in one.get("functionDeclarations") or one.get("tools") or [one.get("function", one)]:
            schema = inner.get("parametersJsonSchema") or inner.get("parameters") or inner.get("input_schema")
            found[inner.get("name", "")] = (inner.get("description", ""), schema)
    return found


def events(agent, tool):
    return rows(agent, tool, "probe.log")
PYTHON
export WORK
