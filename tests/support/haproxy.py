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


@contextmanager
def balancing(folder: Path, servers: Sequence[int]) -> Generator[int]:
    """Run HAProxy in front of the servers at these ports; yield its own port."""
    program, port, file = haproxy(), free_port(), folder / "haproxy.cfg"
    if program is None:
        raise RuntimeError("HAProxy is not installed (apt-get install haproxy)")
    file.write_text(documented_configuration(port, servers))
    process = subprocess.Popen([program, "-f", str(file), "-db"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.kill()
        process.wait()
