"""How much memory was taken."""

import tracemalloc
from typing import Self

MANY = 64 * 1024 * 1024
"""More memory, in bytes, than any refusal may take."""


class Peak:
    """The most memory that was taken within its block, in bytes."""

    def __enter__(self) -> Self:
        tracemalloc.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
