#!/usr/bin/env bash
# Guess: a WebSocket client takes a message of 100 KB, a log or a small screenshot; limits are the same size, some megabytes or more.
# Seen:  of eight with default settings coder/websocket ends the connection at more than 32 KiB, websockets at 1 MiB, aiohttp at 4 MiB;
#        five take 30 MiB. aiohttp raises nothing: receive() returns a message of type ERROR, and the program ends with 0.
#        The server gets the close code 1009 in the middle of its message, or after it.
# With:  websockets 17.4, aiohttp 3.14.5, httpx-ws 0.9.0, websocket-client 1.9.2 (PyPI), ws 8.23.0, undici 7.30.2 (npm),
#        github.com/coder/websocket 1.8.15, github.com/gorilla/websocket 1.5.3 (Go).
# Why:   what worked with short answers, or with another client, loses its connection with a longer one; a program that connects
#        again asks for the same answer, and loses the connection again; one with aiohttp that looks at text alone hears nothing.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need node go
pip_install websockets==17.4 aiohttp==3.14.5 httpx-ws==0.9.0 websocket-client==1.9.2
npm_install ws@8.23.0 undici@7.30.2
go_build go-clients github.com/coder/websocket@v1.8.15 github.com/gorilla/websocket@v1.5.3 <<'GO'
package main

import (
	"context"
	"fmt"
	"os"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
)

func read(name, url string) ([]byte, error) {
	if name == "coder" {
		connection, _, err := coder.Dial(context.Background(), url, nil)
		if err != nil {
			return nil, err
		}
		_, message, err := connection.Read(context.Background())
		return message, err
	}
	connection, _, err := gorilla.DefaultDialer.Dial(url, nil)
	if err != nil {
		return nil, err
	}
	_, message, err := connection.ReadMessage()
	return message, err
}

func main() {
	message, err := read(os.Args[1], os.Args[2])
	if err != nil {
		os.Exit(1)
	}
	fmt.Println(len(message))
}
GO
cat >node/clients.js <<'JS'
const [name, url] = process.argv.slice(2);
const WebSocket = name === "ws" ? require("ws") : require("undici").WebSocket;
const socket = new WebSocket(url);
socket.onmessage = (message) => { console.log(message.data.length); process.exit(0); };
socket.onclose = () => process.exit(1);
socket.onerror = () => {};
JS
cat >clients.py <<'PY'
import asyncio
import sys

name, url = sys.argv[1:]


async def length():
    if name == "websockets":
        import websockets

        async with websockets.connect(url) as socket:
            return len(await socket.recv())
    if name == "aiohttp":
        import aiohttp

        async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
            message = await socket.receive()
            return message.type.name if message.type is not aiohttp.WSMsgType.TEXT else len(message.data)
    if name == "httpx-ws":
        import httpx_ws

        async with httpx_ws.aconnect_ws(url.replace("ws:", "http:")) as socket:
            return len(await socket.receive_text())
    import websocket

    return len(websocket.create_connection(url).recv())


print(asyncio.run(length()))
PY
PYTHON=python judge 150 <<'PY'
import asyncio
import contextlib

import websockets

from wire import *

SIZES = {"30 kB": 30_000, "100 kB": 100_000, "2 MiB": 2 << 20, "5 MiB": 5 << 20, "30 MiB": 30 << 20}
COMMANDS = {name: ["python", "clients.py", name] for name in ("websockets", "aiohttp", "httpx-ws", "websocket-client")}
COMMANDS |= {name: ["node", "node/clients.js", name] for name in ("ws", "undici")}
COMMANDS |= {name: ["./go-clients", name] for name in ("coder", "gorilla")}
TAKES = {"coder": 1, "websockets": 2, "aiohttp": 3}  # how many of the sizes; the others take all
closed = {}


async def serve(connection):
    name, size = connection.request.path.strip("/").split("/")
    with contextlib.suppress(websockets.ConnectionClosed):
        await connection.send("x" * int(size))
    await connection.wait_closed()
    closed[name, int(size)] = connection.close_code


async def main():
    facts = []
    async with websockets.serve(serve, "127.0.0.1", 0, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        for name, command in COMMANDS.items():
            taken = []
            for size in SIZES.values():
                client = await asyncio.create_subprocess_exec(
                    *command, f"ws://127.0.0.1:{port}/{name}/{size}", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
                text = (await client.communicate())[0].decode().strip()
                taken.append(text == str(size))
                if not taken[-1]:
                    quiet = (client.returncode, text) == (0, "ERROR")
                    facts.append((quiet if name == "aiohttp" else client.returncode == 1, f"{name}, {size}: {client.returncode} {text}"))
            show(f"{name}: " + ", ".join(f"{label} {'taken' if took else 'refused'}" for label, took in zip(SIZES, taken)))
            count = TAKES.get(name, len(SIZES))
            facts.append((taken == [True] * count + [False] * (len(SIZES) - count), f"{name}: {taken}"))
    for name in TAKES:  # by now the server has closed each connection
        codes = [code for (one, _), code in closed.items() if one == name]
        facts.append((1009 in codes, f"{name}: closed with {codes}"))
    finish(*facts)


asyncio.run(main())
PY
