"""A process without a free file, as one that has too many open."""

import resource
from collections.abc import Generator
from contextlib import contextmanager

_STANDARD = 3
"""Files that are open for good: input, output and errors."""


@contextmanager
def no_free_file() -> Generator[None]:
    """Let this process open no file that it does not have yet, not even after it has closed one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_STANDARD, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
