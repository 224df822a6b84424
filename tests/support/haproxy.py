"""HAProxy in front of several servers, with the configuration that docs/scaling.md shows."""

import re
import shutil
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.ports import free_port

_PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"


def documented_configuration(port: int, servers: Sequence[int]) -> str:
    """Return the configuration of the docs, with this port of the proxy and these of the servers, on this machine."""
    text = _PAGE.read_text(encoding="utf-8").split("```haproxy\n", 1)[1].split("```", 1)[0]
    text, binds = re.subn(r"bind :\d+", f"bind 127.0.0.1:{port}", text)
    lines = [line for line in text.splitlines() if not line.startswith("    server ")]
    assert (binds, len(text.splitlines()) - len(lines)) == (1, 2), "the configuration in the docs has another form"
    lines += [f"    server s{number} 127.0.0.1:{each}" for number, each in enumerate(servers)]
    return "\n".join(lines) + "\n"


def haproxy() -> str | None:
    """Return the program; None where it is not installed."""
    return shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


class Balancer:
    """HAProxy in front of the servers at these ports, at a `port` of its own."""

    def __init__(self, folder: Path, servers: Sequence[int]) -> None:
        self.port = free_port()
        self._file = folder / "haproxy.cfg"
        self._file.write_text(documented_configuration(self.port, servers))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, unless it runs."""
        if self._process is not None and self._process.poll() is None:
            return
        if (program := haproxy()) is None:
            raise RuntimeError("HAProxy is not installed (apt-get install haproxy)")
        command = [program, "-f", str(self._file), "-db"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        """End it, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextmanager
def balancing(folder: Path, servers: Sequence[int]) -> Generator[Balancer]:
    """Run HAProxy in front of the servers at these ports."""
    balancer = Balancer(folder, servers)
    balancer.start()
    try:
        yield balancer
    finally:
        balancer.kill()
