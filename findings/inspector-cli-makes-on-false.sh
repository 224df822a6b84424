#!/usr/bin/env bash
# Guess: `--tool-arg name=value` sends the text, or the value that the tool's schema asks for, or fails.
# Seen:  for a boolean, `on` and `yes` are sent as false. For an integer, `abc` is sent as null. What looks like JSON is sent
#        as JSON although the schema says string: 1.10 becomes the number 1.1, true a boolean, a long digit string a rounded
#        number, while 007 stays text. Nothing is reported, the exit status is 0. An argument cannot be the empty text.
#        `--tool-args-json` sends what is written.
# With:  @modelcontextprotocol/inspector 2.12.0 (npm, on Node.js 22.19 or newer, which npm's package `node` brings).
# Why:   a flag that someone sets to "on" is switched off, a version or an account number arrives as another one, and the
#        server seems to be at fault.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install @modelcontextprotocol/inspector@2.12.0 node@22.19.0
cat >server.cjs <<'JS'
const properties = { text: { type: "string" }, flag: { type: "boolean" }, port: { type: "integer" } }
require("readline").createInterface({ input: process.stdin }).on("line", line => {
  const { id, method, params } = JSON.parse(line)
  if (id === undefined) return
  const info = { protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo: { name: "toy", version: "1" } }
  const tools = { tools: [{ name: "t", inputSchema: { type: "object", properties } }] }
  const call = { content: [{ type: "text", text: `<${JSON.stringify(params?.arguments)}>` }] }
  const result = { initialize: info, "tools/list": tools, "tools/call": call }[method]
  const said = result ? { result } : { error: { code: -32601, message: "Method not found" } }
  console.log(JSON.stringify({ jsonrpc: "2.0", id, ...said }))
})
JS
arrives() { # ARGUMENT…: what the server receives, or the error
    local code=0 line
    bounded 60 mcp-inspector --cli node server.cjs --method tools/call --tool-name t "$@" >out 2>err || code=$?
    line=$(sed -n 's/.*"<\(.*\)>".*/\1/p' out | tr -d '\\')
    [ -n "$line" ] || line=$(grep -o '"message":"[^"]*"' err || true)
    echo "$line, status $code"
}
holds=yes
expect() { # WANTED ARGUMENT…
    local wanted=$1 seen
    shift
    seen=$(arrives "$@")
    observed "$2: $seen"
    [ "${seen#"$wanted"}" != "$seen" ] || holds=no
}
expect '{"flag":false}, status 0' --tool-arg flag=on
expect '{"flag":false}, status 0' --tool-arg flag=yes
expect '{"flag":true}, status 0' --tool-arg flag=true
expect '{"port":null}, status 0' --tool-arg port=abc
expect '{"text":1.1}, status 0' --tool-arg text=1.10
expect '{"text":true}, status 0' --tool-arg text=true
expect '{"text":123456789012345680000}, status 0' --tool-arg text=123456789012345678901
expect '{"text":"007"}, status 0' --tool-arg text=007
expect '"message":"Invalid parameter format' --tool-arg text=
expect '{"text":"1.10"}, status 0' --tool-args-json '{"text": "1.10"}'
[ "$holds" = yes ] && verdict 0
verdict 1
