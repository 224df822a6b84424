#!/usr/bin/env bash
# Guess: a tool that panics is answered, with isError or a protocol error, as what a tool throws is by the SDKs of other
#        languages, or the server ends; a cancelled call ends.
# Seen:  the Rust SDK's server writes the panic to stderr, answers nothing and goes on: ping and other tools work, and the
#        client waits for its own time limit, with the Python SDK for ever. A cancelled call is not answered, as it should
#        be, and is carried out to its end unless the tool's code looks at the token in its context. Err(String) is an
#        isError result, Err(ErrorData) a protocol error. serverInfo is "rmcp" where nothing else is said.
# With:  rmcp 3.11.0 with tokio 1 (crates), over stdio.
# Why:   an `unwrap` on a missing file looks like a slow tool; only stderr tells. A start that was cancelled comes up later.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need cargo
mkdir -p toy/src
cat >toy/Cargo.toml <<'TOML'
[package]
name = "toy"
version = "0.1.0"
edition = "2021"
[dependencies]
rmcp = { version = "=3.11.0", features = ["server", "transport-io", "macros"] }
tokio = { version = "1", features = ["rt-multi-thread", "macros", "time"] }
schemars = "1"
serde = { version = "1", features = ["derive"] }
[profile.dev]
debug = false
TOML
cat >toy/src/main.rs <<'RUST'
use rmcp::{handler::server::wrapper::Parameters, model::*, schemars, tool, tool_handler, tool_router, ErrorData, ServerHandler, ServiceExt};

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Place {
    file: String,
}

#[derive(Clone)]
struct Toy;

#[tool_router]
impl Toy {
    #[tool(description = "Reads a file")]
    async fn read(&self, Parameters(Place { file }): Parameters<Place>) -> String {
        std::fs::read_to_string(file).unwrap()
    }
    #[tool(description = "Makes a file, in two seconds")]
    async fn make(&self, Parameters(Place { file }): Parameters<Place>) -> String {
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        std::fs::write(file, "").unwrap();
        "made".into()
    }
    #[tool(description = "Fails")]
    async fn fail(&self) -> Result<String, String> {
        Err("the disk is full".into())
    }
    #[tool(description = "Fails in the other way")]
    async fn refuse(&self) -> Result<CallToolResult, ErrorData> {
        Err(ErrorData::internal_error("the disk is full", None))
    }
}

#[tool_handler]
impl ServerHandler for Toy {}

#[tokio::main]
async fn main() {
    Toy.serve(rmcp::transport::stdio()).await.unwrap().waiting().await.unwrap();
}
RUST
home=${CARGO_HOME:-$USER_HOME/.cargo}
(cd toy && HOME="$USER_HOME" CARGO_HOME="$home" timeout 400 cargo build -q) >cargo.log 2>&1 || { tail -3 cargo.log >&2; unable "cargo build"; }
judge 60 <<'PY'
from wire import *

server = Stdio("toy/target/debug/toy", env={"RUST_BACKTRACE": "0"})
name = server.hello()["result"]["serverInfo"]
panicked = server.ask("tools/call", {"name": "read", "arguments": {"file": "missing"}})
try:
    answer = server.answer(panicked, 8)
except TimeoutError:
    answer = "none within 8 s"
said = next((line for line in server.errors if "panicked" in line or "NotFound" in line), "")
ping = server.request("ping", timeout=5)["result"]
fail, refuse = server.call("fail")["result"], server.call("refuse")["error"]
cancelled = server.ask("tools/call", {"name": "make", "arguments": {"file": "made"}})
time.sleep(0.3)
server.notify("notifications/cancelled", {"requestId": cancelled})
try:
    late = server.answer(cancelled, 4)
except TimeoutError:
    late = "none"
made = os.path.exists("made")
server.end_input(5)
server.kill()
show(f"a tool that panics: answer {answer}, stderr {said.strip()!r}, then ping {ping}")
show(f"Err(String): isError {fail['isError']}; Err(ErrorData): {refuse}; serverInfo {name}")
show(f"cancelled after 0.3 s of 2: answer {late}, carried out {made}")
finish((answer == "none within 8 s" and bool(said) and ping == {}, "a tool that panics"), (late == "none" and made, "a cancelled call"),
       (fail["isError"] and text_of(fail) == "the disk is full", "Err(String)"), (refuse["code"] == -32603, "Err(ErrorData)"),
       (name["name"] == "rmcp" and name["version"] == "3.11.0", "serverInfo"))
PY
