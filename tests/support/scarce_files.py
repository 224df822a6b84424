"""A process without a free file, as one that has too many open."""

import os
import resource
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def no_free_file() -> Generator[None]:
    """Let this process open no file that it does not have yet; what it gives back meanwhile it may have again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.close(lowest := os.dup(0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
