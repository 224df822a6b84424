"""A program that ends as it is told: SIGUSR1 with 0, SIGUSR2 with 1, SIGTERM after `--slow` seconds.

    python -I -S tests/support/truth/program.py --pids FILE [--after SECONDS] [--slow SECONDS] [--port PORT]

It adds its pid to FILE, and says "ready" after `--after` seconds, when it listens on PORT. Where it cannot have that
port it lives on without it.
"""

import argparse
import os
import signal
import socket
import time


def main() -> None:
    """Live."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pids", required=True)
    parser.add_argument("--after", type=float, default=0.0)
    parser.add_argument("--slow", type=float, default=0.0)
    parser.add_argument("--port", type=int)
    options = parser.parse_args()

    def leave(_number: int, _frame: object) -> None:
        time.sleep(options.slow)  # noqa: TID251 (a process of its own, without an event loop)
        os._exit(0)

    def end(number: int, _frame: object) -> None:
        os._exit(0 if number == signal.SIGUSR1 else 1)

    signal.signal(signal.SIGUSR1, end)
    signal.signal(signal.SIGUSR2, end)
    signal.signal(signal.SIGTERM, leave)
    with open(options.pids, "a") as file:  # noqa: PTH123 (pathlib takes longer to import than the rest)
        file.write(f"{os.getpid()}\n")
    time.sleep(options.after)  # noqa: TID251 (a process of its own, without an event loop)
    held = socket.socket()
    if options.port is not None:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            held.bind(("127.0.0.1", options.port))
            held.listen()
        except OSError as error:
            print(f"cannot listen: {error}", flush=True)
    print("ready", flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
