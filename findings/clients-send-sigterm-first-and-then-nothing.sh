#!/usr/bin/env bash
# Guess: a client that is closed closes a stdio server's stdin, waits some seconds, sends SIGTERM, waits, and kills it, as the
#        protocol says; so a server that saves what it has at the end of its input has the time for it, and none is left.
# Seen:  both TypeScript clients, both Python SDKs and FastMCP give two seconds before SIGTERM and two before SIGKILL, mcp-go two and
#        three, the Go SDK five and five. The AI SDK sends SIGTERM at once, and leaves stdin open as long as the program runs; the
#        Java SDK and LangChain4j do both in one moment. None of these three does any more: a server that takes its time, or ignores
#        the signal, stays when they have returned from closing.
# With:  @modelcontextprotocol/sdk 1.32.2, client 2.4.0, @ai-sdk/mcp 2.0.99 (npm), io.modelcontextprotocol.sdk:mcp 2.2.0,
#        dev.langchain4j:langchain4j-mcp 1.11.0-beta19 (Maven), mcp 1.30.0 and 2.3.0, fastmcp 4.2.3 (PyPI), go-sdk 1.8.0, mcp-go 1.2.1.
# Why:   what a server does at the end of its input is cut off where SIGTERM is not handled, as in Python by default; one that
#        handles it slowly is left behind with its port. Both ends have to be handled, each within two seconds.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need go
npm_install @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/client@2.4.0 @ai-sdk/mcp@2.0.99
venv_install "$WORK/mcp-1" mcp==1.30.0
venv_install "$WORK/mcp-2" mcp==2.3.0
venv_install "$WORK/fastmcp" fastmcp==4.2.3
maven_install sdk io.modelcontextprotocol.sdk:mcp:2.2.0 org.slf4j:slf4j-nop:2.0.17
maven_install langchain dev.langchain4j:langchain4j-mcp:1.11.0-beta19 org.slf4j:slf4j-nop:2.0.17
cat >server.py <<'PY'
"""Notes in argv[1] when it hears of its end, and until when it lives; ends neither with its input nor with SIGTERM."""
import json
import os
import signal
import sys
import threading
import time


def note(what):
    with open(sys.argv[1], "a") as heard:
        print(what, time.monotonic(), file=heard)


def beat():
    while True:
        with open(sys.argv[1] + ".beat", "w") as alive:
            print(time.monotonic(), os.getpid(), file=alive)
        time.sleep(0.1)


def read():
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        said = {
            "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "toy", "version": "1"}},
            "tools/list": {"tools": [{"name": "greet", "inputSchema": {"type": "object"}}]},
        }.get(message["method"])
        part = {"error": {"code": -32601, "message": "Method not found"}} if said is None else {"result": said}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **part}), flush=True)
    note("end")


signal.signal(signal.SIGTERM, lambda *_: note("term"))
for each in (beat, read):
    threading.Thread(target=each, daemon=True).start()
until = time.monotonic() + 40
while time.monotonic() < until:
    time.sleep(0.5)
PY
# Each client lists the tools, notes the time ("close"), closes, and stays for a while.
cat >node/client.mjs <<'JS'
import fs from "node:fs"
const [version, heard] = process.argv.slice(2)
const server = { command: "python3", args: ["server.py", heard] }
let client
if (version === "ai") {
  const { createMCPClient } = await import("@ai-sdk/mcp")
  const { Experimental_StdioMCPTransport } = await import("@ai-sdk/mcp/mcp-stdio")
  client = await createMCPClient({ transport: new Experimental_StdioMCPTransport(server) })
  await client.tools()
} else {
  const old = version === "1"
  const { Client } = await import(old ? "@modelcontextprotocol/sdk/client/index.js" : "@modelcontextprotocol/client")
  const { StdioClientTransport } = await import(old ? "@modelcontextprotocol/sdk/client/stdio.js" : "@modelcontextprotocol/client/stdio")
  client = new Client({ name: "findings", version: "1" })
  await client.connect(new StdioClientTransport(server))
  await client.listTools()
}
const now = () => Number(process.hrtime.bigint()) / 1e9
fs.appendFileSync(heard, `close ${now()}\n`)
await client.close()
await new Promise(done => setTimeout(done, 13000))
process.exit(0)
JS
cat >client.py <<'PY'
import sys
import time

import anyio

which, heard = sys.argv[1:]


def closing():
    with open(heard, "a") as notes:
        print("close", time.monotonic(), file=notes)


async def main():
    if which == "fastmcp":
        from fastmcp import Client
        from fastmcp.client.transports import StdioTransport

        async with Client(StdioTransport("python3", ["server.py", heard], keep_alive=False)) as client:
            await client.list_tools()
            closing()
    else:
        from mcp import ClientSession, StdioServerParameters
        from mcp.client.stdio import stdio_client

        async with stdio_client(StdioServerParameters(command="python3", args=["server.py", heard])) as streams, ClientSession(*streams) as client:
            await client.initialize()
            await client.list_tools()
            closing()
    await anyio.sleep(9)


anyio.run(main)
PY
go_build go-sdk-client github.com/modelcontextprotocol/go-sdk@v1.8.0 <<'GO'
package main

import (
	"context"
	"os"
	"os/exec"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	ctx := context.Background()
	server := &mcp.CommandTransport{Command: exec.Command("python3", "server.py", os.Args[1])}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "findings", Version: "1"}, nil).Connect(ctx, server, nil)
	if err == nil {
		_, err = session.ListTools(ctx, nil)
	}
	if err != nil {
		panic(err)
	}
	exec.Command("python3", "note.py", os.Args[1]).Run()
	session.Close()
	time.Sleep(3 * time.Second)
}
GO
go_build mcp-go-client github.com/mark3labs/mcp-go@v1.2.1 <<'GO'
package main

import (
	"context"
	"os"
	"os/exec"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"
)

func main() {
	ctx := context.Background()
	session, err := client.NewStdioMCPClient("python3", nil, "server.py", os.Args[1])
	if err != nil {
		panic(err)
	}
	var hello mcp.InitializeRequest
	hello.Params.ProtocolVersion = mcp.LATEST_PROTOCOL_VERSION
	hello.Params.ClientInfo = mcp.Implementation{Name: "findings", Version: "1"}
	if _, err = session.Initialize(ctx, hello); err != nil {
		panic(err)
	}
	exec.Command("python3", "note.py", os.Args[1]).Run()
	session.Close()
	time.Sleep(9 * time.Second)
}
GO
cat >note.py <<'PY'
import sys
import time

with open(sys.argv[1], "a") as notes:
    print("close", time.monotonic(), file=notes)
PY
cat >sdk/Close.java <<'JAVA'
import io.modelcontextprotocol.client.McpClient;
import io.modelcontextprotocol.client.transport.*;
import io.modelcontextprotocol.json.McpJsonDefaults;

public class Close {
  public static void main(String[] given) throws Exception {
    var server = ServerParameters.builder("python3").args("server.py", given[0]).build();
    var client = McpClient.sync(new StdioClientTransport(server, McpJsonDefaults.getMapper())).build();
    client.initialize();
    client.listTools();
    new ProcessBuilder("python3", "note.py", given[0]).start().waitFor();
    client.closeGracefully();
    Thread.sleep(3000);
    System.exit(0);
  }
}
JAVA
cat >langchain/Close.java <<'JAVA'
import dev.langchain4j.mcp.client.DefaultMcpClient;
import dev.langchain4j.mcp.client.transport.stdio.StdioMcpTransport;
import java.util.*;

public class Close {
  public static void main(String[] given) throws Exception {
    var client = DefaultMcpClient.builder().transport(StdioMcpTransport.builder().command(List.of("python3", "server.py", given[0])).build()).build();
    client.listTools();
    new ProcessBuilder("python3", "note.py", given[0]).start().waitFor();
    client.close();
    Thread.sleep(12000);
    System.exit(0);
  }
}
JAVA
for name in sdk langchain; do javac -cp "$name/lib/*" -d "$name/out" "$name/Close.java" 2>javac.log || unable "javac: $(tail -1 javac.log)"; done
judge 170 <<'PY'
import os
from concurrent.futures import ThreadPoolExecutor

from wire import *

CLIENTS = {"TypeScript 1": ["node", "node/client.mjs", "1"], "TypeScript 2": ["node", "node/client.mjs", "2"],
           "Python 1": ["mcp-1/bin/python", "client.py", "1"], "Python 2": ["mcp-2/bin/python", "client.py", "2"],
           "FastMCP": ["fastmcp/bin/python", "client.py", "fastmcp"], "mcp-go": ["./mcp-go-client"], "Go SDK": ["./go-sdk-client"],
           "AI SDK": ["node", "node/client.mjs", "ai"], "Java SDK": ["java", "-cp", "sdk/lib/*:sdk/out", "Close"],
           "LangChain4j": ["java", "-cp", "langchain/lib/*:langchain/out", "Close"]}
WANTED = {"TypeScript 1": (0, 2, 4), "TypeScript 2": (0, 2, 4), "Python 1": (0, 2, 4), "Python 2": (0, 2, 4), "FastMCP": (0, 2, 4), "mcp-go": (0, 2, 5), "Go SDK": (0, 5, 10)}


def closed(name):
    """When, in seconds after close began, the server heard of the end of its input and of SIGTERM, and when it was last alive."""
    heard = os.path.abspath(name.replace(" ", "-") + ".heard")
    with subprocess.Popen([*CLIENTS[name], heard], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        before = None
        while process.poll() is None:  # when the client exits, its end of the pipe is closed, too: that is not its close()
            before = open(heard).read() if os.path.exists(heard) else None
            time.sleep(0.2)
    when = {what: float(at) for what, at in (line.split() for line in before.splitlines())}
    alive, pid = open(heard + ".beat").read().split()
    stays = os.path.exists(f"/proc/{pid}")
    if stays:
        os.kill(int(pid), 9)
    return *(when[what] - when["close"] if what in when else None for what in ("end", "term")), None if stays else float(alive) - when["close"]


seen = {}
for names in (list(CLIENTS)[:5], list(CLIENTS)[5:]):
    with ThreadPoolExecutor(5) as pool:
        seen |= dict(zip(names, pool.map(closed, names)))
facts = []
for name, times in seen.items():
    said = ["never" if at is None else f"after {at:.1f} s" for at in times]
    show(f"{name}: end of input {said[0]}, SIGTERM {said[1]}, killed {said[2]}")
    end, term, killed = times
    if name in WANTED:
        near = all(at is not None and abs(at - wanted) < 1 for at, wanted in zip(times, WANTED[name]))
        facts.append((near, name))
    else:
        facts.append((term is not None and term < 1 and killed is None, name))
facts.append((seen["AI SDK"][0] is None or seen["AI SDK"][0] > seen["AI SDK"][1], "stdin is open at the AI SDK's SIGTERM"))
finish(*facts)
PY
