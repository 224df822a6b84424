"""Percentiles and tables for the benchmark commands."""

import statistics
from collections.abc import Sequence
from pathlib import Path


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` (0 to 1) of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def row(label: str, values: Sequence[float], *, scale: float = 1000.0) -> str:
    """Return one line of a table of latencies in milliseconds, of which `scale` make one of `values`."""
    scaled = [value * scale for value in values]
    return (
        f"{label:<44} n={len(scaled):<6} p50 {percentile(scaled, 0.5):8.2f} ms   "
        f"p99 {percentile(scaled, 0.99):8.2f} ms   max {max(scaled):8.2f} ms   "
        f"mean {statistics.fmean(scaled):8.2f} ms"
    )


def title(text: str) -> None:
    """Print a heading."""
    print(f"\n{text}\n{'-' * len(text)}")


def write_measured(page: Path, name: str, text: str) -> None:
    """Replace the part `name` of a page of docs/, if it is there."""
    begin, end = f"<!-- measured: {name} -->", "<!-- end measured -->"
    head, found, rest = page.read_text().partition(begin)
    if found:
        page.write_text(f"{head}{begin}\n\n{text}\n\n{end}{rest.partition(end)[2]}")
