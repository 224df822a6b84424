"""A small MCP server for tests, with every fault that a downstream server can have.

Run it as a program; over stdio it needs the standard library alone and is up in 0.1 s:

    python tests/support/scripted_server.py [OPTIONS]                      stdio, 2025-11-25 protocol
    python tests/support/scripted_server.py --sdk [OPTIONS]                stdio through the MCP SDK, 2026-07-28
    python tests/support/scripted_server.py --http PORT [OPTIONS]          streamable HTTP at /mcp (SDK, uvicorn)
    python tests/support/scripted_server.py --sse PORT [OPTIONS]           HTTP+SSE at /sse, as servers of 2024 did

PORT 0 picks a free one; `--port-file FILE` has it once the server listens.

Options
    --ledger FILE       where `start`, `stop`, … keep their resources (survives restarts of the server)
    --counter FILE      counts the server's starts
    --refuse N          exit with code 3 on the first N starts (needs --counter)
    --token TOKEN       HTTP: demand `Authorization: Bearer TOKEN`, else 401
    --page-size N       list the tools in pages of N
    --stdout-noise TEXT write TEXT to stdout before the first message
    --stderr-noise TEXT write TEXT to stderr at start
    --silent            read messages and never answer
    --die-on-discover   exit when asked `server/discover`, as some old servers do (stdio); over HTTP answer that, and
                        what has the word `unprocessable`, with 422
    --stubborn          ignore SIGTERM and the end of stdin (stdio)

Tools (all take and return JSON; answers are JSON text unless said otherwise)
    echo {text}                     the text itself; annotated as read-only, as no other
    structured {value}              structuredContent {"value": value}; its outputSchema wants an integer
    environment {names}             {name: value} of environment variables
    fail {message}                  an isError result
    reject {code, message}          a JSON-RPC error
    hang                            no answer until cancelled
    sleep {seconds}                 answers after a while, unless cancelled
    block {seconds}                 answers after a while, and does nothing else meanwhile (HTTP, --sdk)
    progress {steps}                `steps` progress notifications, then an answer
    garbage {lines, answer}         writes lines to stdout that are no messages; answers only when `answer` is true
    malformed {empty | depth}       a result that does not follow the protocol, or none (null), or one that is so deep
    big {bytes}                     a text of that size
    die {signal | code}             ends the server at once, without an answer
    noise {text}                    writes to stderr
    spawn {seconds}                 starts a grandchild that inherits stdout; {"pid"}
    ask                             sends the client an elicitation request (stdio without --sdk); its outcome
    add_tool {name}, remove_tool {name}     changes the tools list and says so
    add_tool_silently {name}        changes it silently
    meta                            {"meta": the call's `_meta`}
    cancelled                       {"cancelled": names of the tools whose calls were cancelled}
    peak                            {"peak": most calls that were under way at once, "calls": how many there were};
                                    it does not count itself
    start {name, …}                 starts a resource: {"id", "name", "state": "running", …}. `fail`: an isError result
                                    after starting it; `delay`: seconds before the answer; `ready_after`: how many
                                    `status` calls say "starting" first; other arguments are kept and given back
    stop {name}                     stops it (`delay`, `fail` as above); a resource unknown or stopped is an isError
    status {name}, find {name}      {"name", "state": "running" | "starting" | "stopped" | "absent", …}
    list                            {"resources": [...], "history": ["start a", "stop a", ...]}
    break {name}                    marks a running resource as failed: `status` says "failed"

The ledger counts each resource's `starts` and `stops`, so that a test can prove that nothing ran twice.
"""

import argparse
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_NAME = {"name": {"type": "string"}}
_SCHEMAS: dict[str, Json] = {
    "echo": {"text": {"type": "string"}},
    "structured": {"value": {}},
    "environment": {"names": {"type": "array", "items": {"type": "string"}}},
    "fail": {"message": {"type": "string"}},
    "reject": {"code": {"type": "integer"}, "message": {"type": "string"}},
    "hang": {},
    "sleep": {"seconds": {"type": "number"}},
    "block": {"seconds": {"type": "number"}},
    "progress": {"steps": {"type": "integer"}},
    "garbage": {"lines": {"type": "integer"}, "answer": {"type": "boolean"}},
    "malformed": {"empty": {"type": "boolean"}, "depth": {"type": "integer"}},
    "big": {"bytes": {"type": "integer"}},
    "die": {"signal": {"type": "string"}, "code": {"type": "integer"}},
    "noise": {"text": {"type": "string"}},
    "spawn": {"seconds": {"type": "number"}},
    "ask": {},
    "add_tool": _NAME,
    "add_tool_silently": _NAME,
    "remove_tool": _NAME,
    "meta": {},
    "cancelled": {},
    "peak": {},
    "start": {
        **_NAME,
        "fail": {"type": "string"},
        "delay": {"type": "number"},
        "ready_after": {"type": "integer"},
    },
    "stop": {**_NAME, "fail": {"type": "string"}, "delay": {"type": "number"}},
    "status": _NAME,
    "find": _NAME,
    "list": {},
    "break": _NAME,
}
_REQUIRED = {
    "echo": ["text"],
    "start": ["name"],
    "stop": ["name"],
    "status": ["name"],
    "find": ["name"],
    "break": ["name"],
}


class RejectedError(Exception):
    """The tool answers with a JSON-RPC error."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


class NoAnswerError(Exception):
    """The tool never answers."""


class Call:
    """What a tool may do while it runs, whatever the transport."""

    def __init__(
        self,
        progress: Callable[[float, float | None, str | None], None],
        changed: Callable[[], None],
        ask: Callable[[], str],
        meta: Json | None = None,
    ) -> None:
        self.progress = progress
        self.changed = changed
        self.ask = ask
        self.meta = meta or {}
        self.cancelled = threading.Event()


class Ledger:
    """Resources by name, in a file when there is one."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._memory: Json = {"resources": {}, "history": []}

    def change(self, edit: Callable[[Json], Json]) -> Json:
        with self._lock:
            state = self._memory
            if self._path is not None and self._path.exists():
                state = json.loads(self._path.read_text())
            answer = edit(state)
            self._memory = state
            if self._path is not None:
                temporary = self._path.with_suffix(f".{os.getpid()}")
                temporary.write_text(json.dumps(state))
                temporary.replace(self._path)
            return answer


class Tools:
    """The tools, as plain functions of their arguments; each call runs in a thread of its own."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._names = list(_SCHEMAS)
        self._cancelled: list[str] = []
        self._active = 0
        self._peak = 0
        self._calls = 0

    def listing(self) -> list[Json]:
        return [self._described(name) for name in list(self._names)]

    def call(self, name: str, args: Json, call: Call) -> Json:
        counted = name != "peak"
        with self._lock:
            self._calls += counted
            self._active += counted
            self._peak = max(self._peak, self._active)
        try:
            method = getattr(self, f"tool_{name}", None)
            if method is None or name not in self._names:
                if name in self._names:
                    return _text(f"called {name}")
                return _text(f"Unknown tool: {name}", is_error=True)
            return method(args, call)
        finally:
            with self._lock:
                self._active -= counted
                if call.cancelled.is_set():
                    self._cancelled.append(name)

    def tool_echo(self, args: Json, call: Call) -> Json:
        return _text(args.get("text", ""))

    def tool_meta(self, args: Json, call: Call) -> Json:
        return _json({"meta": call.meta})

    def tool_structured(self, args: Json, call: Call) -> Json:
        value = {"value": args.get("value")}
        return {"content": [{"type": "text", "text": json.dumps(value)}], "structuredContent": value}

    def tool_environment(self, args: Json, call: Call) -> Json:
        return _json({name: os.environ.get(name) for name in args["names"]})

    def tool_fail(self, args: Json, call: Call) -> Json:
        return _text(args.get("message", "it failed"), is_error=True)

    def tool_reject(self, args: Json, call: Call) -> Json:
        raise RejectedError(args.get("code", -32602), args.get("message", "rejected"))

    def tool_hang(self, args: Json, call: Call) -> Json:
        call.cancelled.wait()
        raise NoAnswerError

    def tool_sleep(self, args: Json, call: Call) -> Json:
        if call.cancelled.wait(args.get("seconds", 1)):
            raise NoAnswerError
        return _text("slept")

    def tool_progress(self, args: Json, call: Call) -> Json:
        steps = args.get("steps", 3)
        for step in range(1, steps + 1):
            call.progress(step, steps, f"step {step}")
        return _text("done")

    def tool_garbage(self, args: Json, call: Call) -> Json:
        for number in range(args.get("lines", 1)):
            write_stdout(f"DEBUG this is not JSON-RPC, line {number}\n".encode())
        if not args.get("answer", False):
            call.cancelled.wait()
            raise NoAnswerError
        return _text("answered")

    def tool_malformed(self, args: Json, call: Call) -> Json:
        if args.get("empty", False):
            return None  # pyright: ignore[reportReturnType] (what some servers answer)
        if depth := args.get("depth"):
            deep: Json = {}
            for _ in range(depth):
                deep = {"a": deep}
            return {"content": [], "structuredContent": deep}
        return {"content": "this should be a list"}

    def tool_big(self, args: Json, call: Call) -> Json:
        return _text("x" * args.get("bytes", 10_000_000))

    def tool_die(self, args: Json, call: Call) -> Json:
        if "code" in args:
            os._exit(args["code"])
        os.kill(os.getpid(), getattr(signal, args.get("signal", "SIGKILL")))
        raise NoAnswerError

    def tool_noise(self, args: Json, call: Call) -> Json:
        print(args.get("text", "noise"), file=sys.stderr, flush=True)
        return _text("written")

    def tool_spawn(self, args: Json, call: Call) -> Json:
        command = f"import time; time.sleep({args.get('seconds', 60)})"
        return _json({"pid": subprocess.Popen([sys.executable, "-S", "-c", command]).pid})

    def tool_ask(self, args: Json, call: Call) -> Json:
        return _text(call.ask())

    def tool_add_tool(self, args: Json, call: Call) -> Json:
        self._names.append(args["name"])
        call.changed()
        return _text("added")

    def tool_add_tool_silently(self, args: Json, call: Call) -> Json:
        self._names.append(args["name"])
        return _text("added")

    def tool_remove_tool(self, args: Json, call: Call) -> Json:
        self._names.remove(args["name"])
        call.changed()
        return _text("removed")

    def tool_cancelled(self, args: Json, call: Call) -> Json:
        return _json({"cancelled": list(self._cancelled)})

    def tool_peak(self, args: Json, call: Call) -> Json:
        return _json({"peak": self._peak, "calls": self._calls})

    def tool_start(self, args: Json, call: Call) -> Json:
        name = args["name"]

        def edit(state: Json) -> Json:
            old = state["resources"].get(name, {"starts": 0, "stops": 0})
            kept = {key: value for key, value in args.items() if key not in ("fail", "delay")}
            state["resources"][name] = {
                **old,
                **kept,
                "id": f"{name}-{old['starts'] + 1}",
                "state": "running",
                "starts": old["starts"] + 1,
                "polls": 0,
            }
            state["history"].append(f"start {name}")
            return state["resources"][name]

        return self._finish(self._ledger.change(edit), args, call)

    def tool_stop(self, args: Json, call: Call) -> Json:
        name = args["name"]

        def edit(state: Json) -> Json:
            resource = state["resources"].get(name)
            state["history"].append(f"stop {name}")
            if resource is None or resource["state"] == "stopped":
                return {}
            resource["state"] = "stopped"
            resource["stops"] += 1
            return resource

        resource = self._ledger.change(edit)
        if not resource:
            return _text(f"resource {name} is not running", is_error=True)
        return self._finish(resource, args, call)

    def tool_status(self, args: Json, call: Call) -> Json:
        name = args["name"]

        def edit(state: Json) -> Json:
            resource = state["resources"].get(name)
            if resource is None:
                return {"name": name, "state": "absent"}
            resource["polls"] = resource.get("polls", 0) + 1
            if resource["state"] == "running" and resource["polls"] <= resource.get("ready_after", 0):
                return {**resource, "state": "starting"}
            return resource

        return _json(self._ledger.change(edit))

    def tool_find(self, args: Json, call: Call) -> Json:
        name = args["name"]
        return _json(self._ledger.change(lambda state: state["resources"].get(name, {"name": name, "state": "absent"})))

    def tool_list(self, args: Json, call: Call) -> Json:
        return _json(
            self._ledger.change(
                lambda state: {"resources": list(state["resources"].values()), "history": state["history"]}
            )
        )

    def tool_break(self, args: Json, call: Call) -> Json:
        def edit(state: Json) -> Json:
            state["resources"][args["name"]]["state"] = "failed"
            return state["resources"][args["name"]]

        return _json(self._ledger.change(edit))

    def _finish(self, resource: Json, args: Json, call: Call) -> Json:
        if args.get("delay") and call.cancelled.wait(args["delay"]):
            raise NoAnswerError
        if "fail" in args:
            return _text(args["fail"] or "it failed", is_error=True)
        return _json(resource)

    def _described(self, name: str) -> Json:
        described: Json = {
            "name": name,
            "description": f"The test tool {name}.",
            "inputSchema": {
                "type": "object",
                "properties": _SCHEMAS.get(name, {}),
                "required": _REQUIRED.get(name, []),
            },
        }
        if name == "echo":
            described["annotations"] = {"readOnlyHint": True}
        if name == "structured":
            described["outputSchema"] = {
                "type": "object",
                "properties": {"value": {"type": "integer"}},
                "required": ["value"],
            }
        return described


def _text(text: str, *, is_error: bool = False) -> Json:
    return {"content": [{"type": "text", "text": text}], "isError": is_error}


def _json(value: Any) -> Json:
    return _text(json.dumps(value))


_stdout_lock = threading.Lock()


def write_stdout(data: bytes) -> None:
    """Write to the real stdout, a whole piece at a time."""
    with _stdout_lock:
        view = memoryview(data)
        while view:
            view = view[os.write(1, view) :]


class StdioFront:
    """JSON-RPC over stdio by hand, 2025-11-25 protocol: nothing between the test and the bytes."""

    def __init__(self, tools: Tools, options: argparse.Namespace) -> None:
        self._tools = tools
        self._options = options
        self._calls: dict[Any, Call] = {}
        self._asked = 0
        self._replies: dict[str, tuple[threading.Event, list[Json]]] = {}

    def serve(self) -> None:
        for line in sys.stdin.buffer:
            if not self._options.silent:
                self._receive(json.loads(line))
        while self._options.stubborn:
            time.sleep(60)  # noqa: TID251 (a process of its own, without an event loop)

    def _receive(self, message: Json) -> None:
        method, request_id = message.get("method"), message.get("id")
        if method is None:
            event, box = self._replies[str(request_id)]
            box.append(message)
            event.set()
        elif method == "notifications/cancelled":
            if call := self._calls.get(message["params"]["requestId"]):
                call.cancelled.set()
        elif method == "server/discover" and self._options.die_on_discover:
            os._exit(7)
        elif method == "initialize":
            self._answer(
                request_id,
                {
                    "protocolVersion": "2025-11-25",
                    "capabilities": {"tools": {"listChanged": True}},
                    "serverInfo": {"name": "scripted", "version": "1.0"},
                },
            )
        elif method == "ping":
            self._answer(request_id, {})
        elif method == "tools/list":
            self._answer(request_id, _page(self._tools.listing(), message.get("params"), self._options.page_size))
        elif method == "tools/call":
            threading.Thread(target=self._run, args=(request_id, message["params"]), daemon=True).start()
        elif request_id is not None:
            self._send({"id": request_id, "error": {"code": -32601, "message": f"Method not found: {method}"}})

    def _run(self, request_id: Any, params: Json) -> None:
        meta = params.get("_meta", {})
        token = meta.get("progressToken")

        def progress(done: float, total: float | None, message: str | None) -> None:
            if token is not None:
                about = {"progressToken": token, "progress": done, "total": total, "message": message}
                self._send({"method": "notifications/progress", "params": about})

        call = Call(progress, lambda: self._send({"method": "notifications/tools/list_changed"}), self._ask, meta)
        self._calls[request_id] = call
        try:
            result = self._tools.call(params["name"], params.get("arguments") or {}, call)
        except NoAnswerError:
            return
        except RejectedError as error:
            self._send({"id": request_id, "error": {"code": error.code, "message": str(error)}})
            return
        finally:
            del self._calls[request_id]
        if not call.cancelled.is_set():
            self._answer(request_id, result)

    def _ask(self) -> str:
        self._asked += 1
        key = f"ask-{self._asked}"
        event, box = self._replies[key] = threading.Event(), []
        schema = {"type": "object", "properties": {"answer": {"type": "string"}}}
        self._send({"id": key, "method": "elicitation/create", "params": {"message": "?", "requestedSchema": schema}})
        event.wait(5)
        return json.dumps(box[0].get("error") or box[0].get("result")) if box else "no reply"

    def _answer(self, request_id: Any, result: Json) -> None:
        self._send({"id": request_id, "result": result})

    def _send(self, message: Json) -> None:
        write_stdout(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")


def _page(tools: list[Json], params: Json | None, size: int) -> Json:
    start = int((params or {}).get("cursor") or 0)
    if not size:
        return {"tools": tools}
    page: Json = {"tools": tools[start : start + size]}
    if start + size < len(tools):
        page["nextCursor"] = str(start + size)
    return page


def sdk_server(tools: Tools, options: argparse.Namespace) -> Any:
    """The same tools as a server of the MCP SDK, which speaks both eras of the protocol."""
    from functools import partial

    import anyio
    import mcp_types as types
    from anyio import from_thread, to_thread
    from mcp.server import Server
    from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged
    from mcp.shared.exceptions import MCPError

    bus = InMemorySubscriptionBus()

    async def list_tools(ctx: Any, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        cursor = {"cursor": params.cursor} if params is not None else None
        return types.ListToolsResult.model_validate(_page(tools.listing(), cursor, options.page_size))

    async def call_tool(ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        if params.name == "block":
            time.sleep((params.arguments or {})["seconds"])  # noqa: TID251 (this is the fault that it is to show)

        async def announce() -> None:
            await bus.publish(ToolsListChanged())
            await ctx.session.send_tool_list_changed()

        call = Call(
            lambda done, total, message: from_thread.run(ctx.session.report_progress, done, total, message),
            lambda: from_thread.run(announce),
            lambda: "not with the SDK",
            dict(ctx.meta or {}),
        )
        run = partial(tools.call, params.name, dict(params.arguments or {}), call)
        try:
            result = await to_thread.run_sync(run, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1))
        except RejectedError as error:
            raise MCPError(error.code, str(error)) from None
        finally:
            call.cancelled.set() if sys.exc_info()[0] is not None else None
        return types.CallToolResult.model_validate(result)

    return Server(
        "scripted",
        version="1.0",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_subscriptions_listen=ListenHandler(bus),
    )


def serve_sdk_stdio(tools: Tools, options: argparse.Namespace) -> None:
    import anyio
    from mcp.server.lowlevel.server import NotificationOptions
    from mcp.server.stdio import stdio_server

    async def main() -> None:
        server = sdk_server(tools, options)
        async with stdio_server() as (read, write):
            about = server.create_initialization_options(NotificationOptions(tools_changed=True))
            await server.run(read, write, about)

    anyio.run(main)


def serve_http(tools: Tools, options: argparse.Namespace) -> None:
    import uvicorn

    server = sdk_server(tools, options)
    app = server.streamable_http_app() if options.http is not None else sse_app(server)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", options.http if options.http is not None else options.sse))
    listener.listen(128)
    if options.port_file:
        temporary = Path(f"{options.port_file}.new")
        temporary.write_text(str(listener.getsockname()[1]))
        temporary.replace(options.port_file)
    app = undiscovered(app) if options.die_on_discover else app
    config = uvicorn.Config(guarded(app, options.token), log_level="warning", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])


def sse_app(server: Any) -> Any:
    from mcp.server.sse import SseServerTransport
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Mount, Route

    transport = SseServerTransport("/messages/")

    async def connect(request: Any) -> Response:
        async with transport.connect_sse(request.scope, request.receive, request._send) as (read, write):
            await server.run(read, write, server.create_initialization_options())
        return Response()

    return Starlette(routes=[Route("/sse", endpoint=connect), Mount("/messages/", app=transport.handle_post_message)])


def undiscovered(app: Any) -> Any:
    """Refuse a message whose method the server has no type for, as those do that are made with rmcp."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await app(scope, receive, send)
            return
        body = b""
        while (part := await receive())["type"] == "http.request":
            body += part.get("body", b"")
            if not part.get("more_body"):
                break
        if b'"server/discover"' in body or b"unprocessable" in body:
            await send({"type": "http.response.start", "status": 422, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"data did not match any variant of JsonRpcMessage"})
            return
        whole = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Any:
            return whole.pop() if whole else await receive()

        await app(scope, again, send)

    return application


def guarded(app: Any, token: str) -> Any:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope.get("headers", []))
        if token and scope["type"] == "http" and headers.get(b"authorization") != f"Bearer {token}".encode():
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b"who are you?"})
            return
        await app(scope, receive, send)

    return application


def main() -> None:
    parser = argparse.ArgumentParser(description="A scripted MCP server for tests.")
    parser.add_argument("--sdk", action="store_true")
    parser.add_argument("--http", type=int)
    parser.add_argument("--sse", type=int)
    parser.add_argument("--port-file")
    parser.add_argument("--ledger", type=Path)
    parser.add_argument("--counter", type=Path)
    parser.add_argument("--refuse", type=int, default=0)
    parser.add_argument("--token", default="")
    parser.add_argument("--page-size", type=int, default=0)
    parser.add_argument("--stdout-noise", default="")
    parser.add_argument("--stderr-noise", default="")
    parser.add_argument("--silent", action="store_true")
    parser.add_argument("--die-on-discover", action="store_true")
    parser.add_argument("--stubborn", action="store_true")
    options = parser.parse_args()
    gc.disable()  # it lives for a test: looking through what it imports costs more than what would be found
    if options.counter is not None:
        starts = int(options.counter.read_text()) + 1 if options.counter.exists() else 1
        options.counter.write_text(str(starts))
        if starts <= options.refuse:
            print(f"refusing start {starts}", file=sys.stderr, flush=True)
            sys.exit(3)
    if options.stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if options.stderr_noise:
        print(options.stderr_noise, file=sys.stderr, flush=True)
    if options.stdout_noise:
        write_stdout(options.stdout_noise.encode() + b"\n")
    tools = Tools(Ledger(options.ledger))
    if options.http is not None or options.sse is not None:
        serve_http(tools, options)
    elif options.sdk:
        serve_sdk_stdio(tools, options)
    else:
        StdioFront(tools, options).serve()


if __name__ == "__main__":
    main()
