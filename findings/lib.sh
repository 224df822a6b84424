# Shared by the scripts of this folder: source it first. It makes a temp folder that goes at the end, installs pinned
# packages into it, reports facts, and has a small MCP wire client and other helpers for Python. It needs nothing of the project.
# shellcheck shell=bash
#
#   WORK                     the temp folder; also HOME, so that nothing of the user's settings plays a part
#   need PROGRAM…            exit 2 if a program is not there
#   pip_install NAME==V…     into $WORK/venv; its programs come first in PATH
#   venv_install DIR NAME==V…  into a virtual environment of its own, PATH as before
#   npm_install NAME@V…      into $WORK/node; its programs come first in PATH
#   go_install MODULE@V…     into $WORK/gobin; its programs come first in PATH; MODULE@V//FOLDER: the program in a folder
#   go_build PROGRAM MODULE@V…  the program main.go on stdin, which needs the modules, as ./PROGRAM
#   maven_install DIR GROUP:NAME:V…  jars, with those that they need, in DIR/lib
#   deb_install NAME=V…      Debian packages unpacked into $WORK/deb, nothing installed; programs first in PATH
#   observed TEXT…           print one thing that was seen
#   verdict CODE             finish: 0 as stated, 1 changed
#   free_port                print a TCP port that no one listens on
#   wait_for SECONDS CMD…    run CMD until it succeeds; fails after SECONDS
#   bounded SECONDS CMD…     run CMD, ended for good after SECONDS
#   judge SECONDS [ARG…]     run the Python program on stdin (it can `from wire import *`) and finish with its verdict

FINDING=$(basename "$0" .sh)
WORK=$(mktemp -d "${TMPDIR:-/tmp}/finding-$FINDING.XXXXXX")
USER_HOME=${HOME:-/nonexistent}
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 npm_config_update_notifier=false npm_config_yes=true
unset PYTHONUNBUFFERED NODE_OPTIONS PYTHONPATH VIRTUAL_ENV

# Every process of the script carries FINDING_MARK in its environment; what is left at the end is ended by its id. redis-server
# overwrites its environment, so the jobs of the shell, and what runs in the folder of the script, are ended, too.
FINDING_MARK="$FINDING-$$-$RANDOM"
export FINDING_MARK

marked() {
    local environ pid
    for environ in /proc/[0-9]*/environ; do
        pid=${environ#/proc/}
        pid=${pid%/environ}
        [ "$pid" = "$$" ] && continue
        if grep -zqxF "FINDING_MARK=$FINDING_MARK" "$environ" 2>/dev/null; then echo "$pid"; continue; fi
        case $(readlink "/proc/$pid/cwd" 2>/dev/null) in "$WORK" | "$WORK"/*) echo "$pid" ;; esac
    done
}

cleanup() {
    local status=$? pid jobs
    trap - EXIT
    jobs=$(jobs -rp)
    disown -a
    for pid in $jobs $(marked); do [ "$pid" = "$BASHPID" ] || kill -9 "$pid" 2>/dev/null || true; done
    chmod -R u+w "$WORK" 2>/dev/null || true
    rm -rf "$WORK" 2>/dev/null || { sleep 1; rm -rf "$WORK"; } || true # what was killed may still write for a moment
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

unable() {
    echo "could not be set up: $*" >&2
    exit 2
}

need() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || unable "needs the program '$program'"
    done
}

venv_install() {
    local folder=$1
    shift
    need python3
    [ -d "$folder" ] || python3 -m venv "$folder" || unable "python3 -m venv"
    HOME="$USER_HOME" timeout 500 "$folder/bin/pip" install -q "$@" >"$WORK/pip.log" 2>&1 \
        || { tail -3 "$WORK/pip.log" >&2; unable "pip install $*"; }
}

pip_install() {
    venv_install "$WORK/venv" "$@"
    PATH="$WORK/venv/bin:$PATH"
    hash -r
}

npm_install() {
    need npm node
    mkdir -p "$WORK/node"
    [ -f "$WORK/node/package.json" ] || echo '{"private": true}' >"$WORK/node/package.json"
    (cd "$WORK/node" && HOME="$USER_HOME" timeout 400 npm install --save-exact --no-audit --no-fund --loglevel=error "$@") \
        >"$WORK/npm.log" 2>&1 || { tail -3 "$WORK/npm.log" >&2; unable "npm install $*"; }
    PATH="$WORK/node/node_modules/.bin:$PATH"
    hash -r
}

go_install() {
    need go
    local module folder
    mkdir -p "$WORK/go"
    for module in "$@"; do
        folder=${module#"${module%%//*}"}
        module=${module%%//*}
        (cd "$WORK/go" && rm -f go.mod go.sum && export HOME="$USER_HOME" GOFLAGS="-mod=mod -buildvcs=false" \
            && go mod init finding && go mod edit -require "$module" \
            && timeout 580 go build -o "$WORK/gobin/" "${module%@*}${folder#/}") >"$WORK/go.log" 2>&1 \
            || { tail -3 "$WORK/go.log" >&2; unable "go build $module"; }
    done
    PATH="$WORK/gobin:$PATH"
    hash -r
}

go_build() {
    need go
    local program=$1 here=$PWD folder
    folder=$WORK/src/$(basename "$program")
    shift
    mkdir -p "$folder"
    cat >"$folder/main.go"
    (cd "$folder" && export HOME="$USER_HOME" GOFLAGS="-mod=mod -buildvcs=false" && go mod init finding \
        && go mod edit "${@/#/-require=}" && go mod tidy && timeout 500 go build -o "$here/$program" .) >"$WORK/go.log" 2>&1 \
        || { tail -3 "$WORK/go.log" >&2; unable "go build $program"; }
}

maven_install() {
    need mvn java javac
    local folder=$1 coordinate group name version
    shift
    mkdir -p "$folder"
    {
        echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        echo '<groupId>finding</groupId><artifactId>finding</artifactId><version>1</version><dependencies>'
        for coordinate in "$@"; do
            IFS=: read -r group name version <<<"$coordinate"
            echo "<dependency><groupId>$group</groupId><artifactId>$name</artifactId><version>$version</version></dependency>"
        done
        echo '</dependencies></project>'
    } >"$folder/pom.xml"
    (cd "$folder" && HOME="$USER_HOME" timeout 400 mvn -q -B dependency:copy-dependencies -DoutputDirectory=lib) >"$WORK/maven.log" 2>&1 \
        || { grep -m 3 ERROR "$WORK/maven.log" >&2; unable "mvn: $*"; }
}

deb_install() {
    need apt-get dpkg
    mkdir -p "$WORK/deb"
    (cd "$WORK/deb" && timeout 300 apt-get download -q "$@") >"$WORK/deb.log" 2>&1 \
        || { grep '^E:' "$WORK/deb.log" >&2; unable "apt-get download $* (apt-get update may be needed)"; }
    local package
    for package in "$WORK"/deb/*.deb; do dpkg -x "$package" "$WORK/deb"; done
    PATH="$WORK/deb/usr/bin:$WORK/deb/usr/sbin:$WORK/deb/bin:$PATH"
    export LD_LIBRARY_PATH="$WORK/deb/usr/lib/$(uname -m)-linux-gnu:$WORK/deb/lib/$(uname -m)-linux-gnu"
    hash -r
}

version_is() { # NAME SEEN WANTED: other versions may behave otherwise; that is no verdict
    [ "$2" = "$3" ] || unable "$1 is '$2', the find was made with '$3'"
}

observed() { printf '  seen: %s\n' "$*"; }

verdict() {
    if [ "$1" -eq 0 ]; then
        echo "$FINDING: as stated"
        exit 0
    fi
    echo "$FINDING: CHANGED, no longer as stated"
    exit 1
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

wait_for() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.05
    done
}

listens() { python3 -c 'import socket, sys; socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1).close()' "$1" 2>/dev/null; }

bounded() { timeout -k 2 "$@"; }

judge() {
    local limit=$1 status=0
    shift
    bounded "$limit" "${PYTHON:-python3}" - "$@" || status=$?
    [ "$status" -ne 2 ] || exit 2
    [ "$status" -ne 124 ] || echo "  changed: not done after $limit seconds"
    verdict "$status"
}

mkdir -p "$WORK/home" "$WORK/lib"
cat >"$WORK/lib/wire.py" <<'PYTHON'
"""A small MCP client on the wire: what a server really writes, in order; and ports, and waiting. Standard library alone."""

import http.client
import json
import os
import queue
import socket
import subprocess
import threading
import time

LEGACY = "2025-11-25"
CLIENT = {"name": "findings", "version": "1"}


def show(fact):
    print("  seen:", fact, flush=True)


def finish(*facts):
    """Each fact is (holds, text). Prints those that changed; exit 0 when all hold, else 1."""
    broken = [text for holds, text in facts if not holds]
    for text in broken:
        print("  changed:", text)
    raise SystemExit(1 if broken else 0)


def until(holds, seconds):
    """What `holds` returns, as soon as that counts as true; after `seconds` what it returns then."""
    deadline = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return held


def free_port():
    """A TCP port of 127.0.0.1 that no one listens on."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def accepts(port):
    """Whether a connection to `port` of 127.0.0.1 is accepted."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def text_of(result):
    return "\n".join(part.get("text", "") for part in result.get("content", []))


class Stdio:
    """A server on stdin and stdout. `lines` keeps all it wrote: (seconds since start, message or raw text)."""

    def __init__(self, *argv, env=None, cwd=None):
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, **(env or {})}, cwd=cwd,
        )
        self.lines, self.errors, self.waiting, self.others = [], [], {}, queue.Queue()
        self.number = 0
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._read_errors, daemon=True).start()

    def _read(self):
        for raw in self.process.stdout:
            try:
                message = json.loads(raw)
            except ValueError:
                message = raw.decode(errors="replace").rstrip("\n")
            self.lines.append((time.monotonic() - self.begun, message))
            box = self.waiting.get(message.get("id")) if isinstance(message, dict) and "method" not in message else None
            (box or self.others).put(message)
        for box in list(self.waiting.values()):
            box.put(None)
        self.others.put(None)

    def _read_errors(self):
        for raw in self.process.stderr:
            self.errors.append(raw.decode(errors="replace").rstrip("\n"))

    def send(self, message):
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, method, params=None):
        self.number += 1
        self.waiting[self.number] = queue.Queue()
        self.send({"id": self.number, "method": method, **({} if params is None else {"params": params})})
        return self.number

    def answer(self, number, timeout=20):
        """The whole response; None if the server closed its output; TimeoutError."""
        try:
            return self.waiting[number].get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError(number) from None

    def request(self, method, params=None, timeout=20):
        return self.answer(self.ask(method, params), timeout)

    def notify(self, method, params=None):
        self.send({"method": method, **({} if params is None else {"params": params})})

    def hello(self, version=LEGACY, capabilities=None, timeout=60):
        response = self.request(
            "initialize",
            {"protocolVersion": version, "capabilities": capabilities or {}, "clientInfo": CLIENT}, timeout,
        )
        self.notify("notifications/initialized")
        return response

    def call(self, tool, arguments=None, timeout=30, **extra):
        """The response to tools/call."""
        return self.request("tools/call", {"name": tool, "arguments": arguments or {}, **extra}, timeout)

    def end_input(self, timeout=10):
        """Close stdin; the exit status, or None if the server is still there after timeout seconds."""
        self.process.stdin.close()
        return self.exited(timeout)

    def exited(self, timeout=10):
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def kill(self):
        self.process.kill()
        self.process.wait()


class Http:
    """A server on streamable HTTP. Answers are (status, headers, list of messages)."""

    def __init__(self, port, path="/mcp", host="127.0.0.1"):
        self.host, self.port, self.path, self.number, self.headers = host, port, path, 0, {}

    def post(self, message, timeout=20, **headers):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        connection.request(
            "POST", self.path, json.dumps({"jsonrpc": "2.0", **message}),
            {"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
             **self.headers, **headers},
        )
        response = connection.getresponse()
        body = response.read().decode()
        connection.close()
        if "event-stream" in (response.getheader("content-type") or ""):
            messages = [json.loads(line[5:]) for line in body.splitlines() if line.startswith("data:") and line[5:].strip()]
        else:
            try:
                messages = [json.loads(body)]
            except ValueError:
                messages = [body]
        return response.status, dict(response.getheaders()), messages

    def request(self, method, params=None, timeout=20, **headers):
        self.number += 1
        message = {"id": self.number, "method": method, **({} if params is None else {"params": params})}
        return self.post(message, timeout, **headers)

    def hello(self, version=LEGACY):
        status, headers, messages = self.request(
            "initialize", {"protocolVersion": version, "capabilities": {}, "clientInfo": CLIENT})
        session = {name.lower(): value for name, value in headers.items()}.get("mcp-session-id")
        if session:
            self.headers["Mcp-Session-Id"] = session
        self.headers["MCP-Protocol-Version"] = version
        self.post({"method": "notifications/initialized"})
        return status, headers, messages
PYTHON
export WORK PYTHONPATH="$WORK/lib" HOME="$WORK/home" PYTHONDONTWRITEBYTECODE=1
cd "$WORK"
