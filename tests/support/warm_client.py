"""Stands for `python`: has a warm process (`warm_python.py`) run what follows, as its own end of the standard streams.

`python -I -S warm_client.py SOCKET [-P] (-c CODE | FILE) ARGUMENTS…`. It ends as the program does, and passes on the
signals that end programs. If it is killed, so is the program.
"""

import _socket
import array
import marshal
import os
import signal
import sys

FAILED = 70


def main() -> None:
    """Have it run; end alike."""
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    connection.connect("\0" + sys.argv[1])
    asked = marshal.dumps((sys.argv[2:], os.getcwd(), dict(os.environ)))  # noqa: PTH109 (pathlib takes 10 ms to import)
    streams = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", (0, 1, 2)))]
    connection.sendmsg([len(asked).to_bytes(8, "little")], streams)
    while asked:
        asked = asked[connection.send(asked) :]
    pid = int.from_bytes(connection.recv(4), "little")
    for passed_on in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP) if pid else ():
        signal.signal(passed_on, lambda number, _frame: os.kill(pid, number))
    status = connection.recv(4)
    code = int.from_bytes(status, "little", signed=True) if status else FAILED
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main()
