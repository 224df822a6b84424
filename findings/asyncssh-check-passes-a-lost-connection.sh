#!/usr/bin/env bash
# Guess: `await connection.run(command, check=True)` raises when the connection is lost while the command runs.
# Seen:  it returns a result as if all were well, with what the command had printed by then; exit_status, returncode and
#        exit_signal are None. Only wait() of the connection, or the next call, tells. Fabric raises for the same loss, the
#        ssh command ends with 255.
# With:  asyncssh 2.24.1, fabric 3.2.3 with paramiko 5.1.0 (PyPI), OpenSSH's client.
# Why:   a deployment or backup over SSH that was cut off in the middle is recorded as done.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need ssh ssh-keygen
pip_install asyncssh==2.24.1 fabric==3.2.3 paramiko==5.1.0
ssh-keygen -q -t ed25519 -N '' -f key
cat >server.py <<'PY'
import asyncio

import asyncssh


class Open(asyncssh.SSHServer):
    def begin_auth(self, username):
        return False


async def half(process):
    process.stdout.write("step 1 of 2\n")
    await asyncio.sleep(600)


async def main():
    key = asyncssh.generate_private_key("ssh-ed25519")
    server = await asyncssh.listen("127.0.0.1", 0, server_host_keys=[key], server_factory=Open, process_factory=half)
    print(server.get_port(), flush=True)
    await asyncio.sleep(600)


asyncio.run(main())
PY
cat >fabric_client.py <<'PY'
import sys

import fabric

try:
    done = fabric.Connection("127.0.0.1", user="u", port=int(sys.argv[1]), connect_kwargs={"key_filename": "key"}).run("work")
    print("returned", done.exited)
except Exception as error:
    print("raised", type(error).__name__)
PY
PYTHON=python judge 120 <<'PY'
import asyncio
import sys

import asyncssh

from wire import *


def server():
    process = subprocess.Popen([sys.executable, "server.py"], stdout=subprocess.PIPE, text=True)
    return process, int(process.stdout.readline())


async def with_asyncssh():
    process, port = server()
    async with asyncssh.connect("127.0.0.1", port, known_hosts=None, username="u", config=None) as connection:
        running = asyncio.create_task(connection.run("work", check=True))
        await asyncio.sleep(1)
        process.kill()
        try:
            done = await asyncio.wait_for(running, 20)
            return "returned", done.exit_status, done.exit_signal, done.stdout
        except Exception as error:
            return "raised", type(error).__name__


def with_program(command):
    process, port = server()
    client = subprocess.Popen([word.replace("PORT", str(port)) for word in command], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    first = client.stdout.readline()
    process.kill()
    rest = client.communicate(timeout=30)[0]
    return client.returncode, (first + rest).strip().splitlines()


lost = asyncio.run(with_asyncssh())
show(f"asyncssh, run(check=True): {lost}")
fabric = with_program([sys.executable, "-u", "fabric_client.py", "PORT"])
show(f"fabric, run(): {fabric[1][-1]}")
ssh = with_program(["ssh", "-F", "none", "-p", "PORT", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
                    "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "u@127.0.0.1", "work"])
show(f"ssh: status {ssh[0]}")
finish((lost == ("returned", None, None, "step 1 of 2\n"), f"asyncssh: {lost}"), (fabric[1][-1].startswith("raised"), f"fabric: {fabric}"),
       (ssh[0] == 255, f"ssh: {ssh}"))
PY
