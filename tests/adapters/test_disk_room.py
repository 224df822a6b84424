"""How much room a disk has for this user."""

import shutil
import sys
from pathlib import Path

import pytest
from tests.support.small_disk import fill, small_disk

from ostler.adapters.disk_room import free_bytes


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that says no size")
def test_a_file_system_that_does_not_say_has_enough() -> None:
    assert shutil.disk_usage("/proc").total == 0
    assert free_bytes(Path("/proc")) == sys.maxsize


def test_a_full_one_has_none(tmp_path: Path) -> None:
    with small_disk(tmp_path, "64k") as disk:
        assert 0 < free_bytes(disk) <= 64 * 1024
        fill(disk)
        assert free_bytes(disk) == 0
