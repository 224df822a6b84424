"""Hostile manifests, project files and arguments from Hypothesis: is every one answered, soon and in words?"""

import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
from anyio.from_thread import start_blocking_portal
from hypothesis import Phase
from hypothesis import strategies as st
from tests.support import fuzz

from benchmarks.figures import title

_SHOWN = 600


def main(rounds: int = 2000, seed: int = 1) -> int:
    """Try `rounds` inputs of each kind, print what went wrong, and return how many kinds of faults there were."""
    title(f"{rounds} hostile inputs of each kind, seed {seed}")
    faults = 0
    for name, documents, check in (
        ("classes", fuzz.CLASS_SEEDS, fuzz.check_class_text),
        ("manifests of muster", fuzz.MUSTER_SEEDS, fuzz.check_class_text),
        ("project files", fuzz.PROJECT_SEEDS, fuzz.check_project_text),
    ):
        faults += _tried(name, fuzz.texts(documents), check, rounds, seed)
    with (
        tempfile.TemporaryDirectory(prefix="ostler-fuzz-") as folder,
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(fuzz.hostile(Path(folder))) as ostler,
    ):

        def call_all(calls: list[tuple[str, dict[str, Any]]]) -> None:
            for tool, args in calls:
                portal.call(ostler.call, tool, args)

        faults += _tried("series of calls", fuzz.calls(ostler.schemas), call_all, rounds, seed)
    return faults


def _tried(name: str, inputs: st.SearchStrategy[Any], check: Callable[[Any], None], rounds: int, seed: int) -> int:
    """Check so many inputs; print each kind of fault with its first input, and return how many kinds there are."""
    seen: Counter[str] = Counter()
    first: dict[str, object] = {}

    @hypothesis.settings(
        max_examples=rounds,
        deadline=None,
        database=None,
        suppress_health_check=fuzz.UNCHECKED,
        phases=(Phase.generate,),
    )
    @hypothesis.seed(seed)
    @hypothesis.given(inputs)
    def go(given: Any) -> None:
        try:
            check(given)
        except Exception as error:  # noqa: BLE001 (each is a fault that was looked for)
            places = [
                f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)
            ]
            kind = f"{type(error).__name__} in {' < '.join(reversed(places[-3:]))}: {str(error)[:_SHOWN]}"
            seen[kind] += 1
            first.setdefault(kind, given)

    began = time.perf_counter()
    go()
    print(f"{name}: {rounds} in {time.perf_counter() - began:.0f} s, {len(seen)} kinds of faults", flush=True)
    for kind, count in seen.items():
        print(f"  {count} times {kind}\n    first: {first[kind]!r}")
    return len(seen)
