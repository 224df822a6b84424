"""A disk that is soon full."""

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size: str) -> Generator[Path]:
    """Yield a file system of `size`."""
    mount = folder / "small"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", mount]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs privileges")
    try:
        yield mount
    finally:
        subprocess.run(["umount", mount], check=True)


def fill(disk: Path) -> None:
    """Take all the room that is left."""
    with (disk / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="space"):
        while True:
            filler.write(bytes(4096))


_FILLER = """
import sys
is_full = False
with open(sys.argv[1], "wb", buffering=0) as filler:
    while True:
        try:
            filler.write(bytes(4096))
        except OSError:
            if not is_full:
                print("full", flush=True)
            is_full = True
"""


@contextmanager
def kept_full(disk: Path) -> Generator[None]:
    """Let another process take every byte of `disk` during the block, as soon as one is given back."""
    command = [sys.executable, "-S", "-c", _FILLER, disk / "filler"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as filler:
        assert filler.stdout is not None
        try:
            assert filler.stdout.readline() == b"full\n"
            filler.stdout.close()
            yield
        finally:
            filler.kill()
    (disk / "filler").unlink()
