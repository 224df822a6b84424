"""Mistakes seeded into the shipped classes: how many `ostler check` finds, by kind and by rule, and how fast it is."""

import random
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

from benchmarks.figures import row, title
from benchmarks.mutations.mutants import mutants
from benchmarks.mutations.subjects import Subject
from benchmarks.mutations.text_mistakes import any_word
from ostler.adapters.config.paths import class_files_in
from ostler.adapters.config.tool_files import answers_of_tests, shipped_tools
from ostler.model.manifest import ServiceClass
from ostler.rules.checking.tool_lists import KnownTools
from ostler.rules.reading import check_text, load_manifests

FOLDER = Path(__file__).resolve().parent.parent / "serviceclasses"


def main(seeds: int = 1) -> None:
    """Run and print."""
    tools = shipped_tools().with_answers(answers_of_tests(FOLDER))
    texts = {file.stem: file.read_text(encoding="utf-8") for file in class_files_in(FOLDER)}
    classes = {item.service_class.name: item.service_class for text in texts.values() for item in load_manifests(text)}
    title(f"The {len(texts)} shipped classes as they are")
    times: list[float] = []
    for name, text in texts.items():
        began = time.perf_counter()
        found = check_text(text, f"{name}.yaml", tools, classes).findings
        times.append(time.perf_counter() - began)
        print("\n".join([f"{name}: {len(found)} findings", *map(str, found)]))
    print(row("one class, checked for the first time", times))
    title(f"With one mistake each, {seeds} seed(s)")
    made: Counter[str] = Counter()
    caught: Counter[str] = Counter()
    rules: Counter[str] = Counter()
    missed: dict[str, list[str]] = defaultdict(list)
    times = []
    for seed in range(1, seeds + 1):
        for name, text in texts.items():
            for mutant in mutants(text, tools, seed):
                began = time.perf_counter()
                found = check_text(mutant.text, name, tools, classes).findings
                times.append(time.perf_counter() - began)
                made[mutant.kind] += 1
                caught[mutant.kind] += bool(found)
                rules.update({finding.rule for finding in found})
                if not found:
                    missed[mutant.kind].append(f"{name}: {mutant.place}")
    for kind, count in made.items():
        print(f"{kind:<24} {caught[kind]:>5} of {count:<5} {caught[kind] / count:7.1%}")
    print(f"{'all':<24} {caught.total():>5} of {made.total():<5} {caught.total() / made.total():7.1%}")
    by_kind = sum(caught[kind] / count for kind, count in made.items()) / len(made)
    print(f"{'mean of the kinds':<24} {'':>14} {by_kind:7.1%}")
    print(row("one class, checked", times))
    title("Mutants that each rule found (several rules may find one)")
    for rule, count in rules.most_common():
        print(f"{rule:<24} {count:>5}")
    title("Not found")
    for kind, places in missed.items():
        print("\n".join(f"{kind}: {place}" for place in places))
    _any_word(texts, tools, classes)


def _any_word(texts: Mapping[str, str], tools: KnownTools, classes: Mapping[str, ServiceClass]) -> None:
    """Typing errors that no one chose: most of those that are not found are in words that no schema knows."""
    title("A letter wrong in any word, 80 in each class (not part of the score)")
    made = caught = 0
    for name, text in texts.items():
        subject = Subject(text, {}, tools, random.Random(name))
        for line, mutant in any_word(subject, 80):
            found = check_text(mutant, name, tools, classes).findings
            made += 1
            caught += bool(found)
            if not found:
                print(f"not found: {name}:{line}: {mutant.splitlines()[line - 1].strip()[:100]}")
    print(f"{caught} of {made}: {caught / made:.1%}")
