"""Mistakes put into the shipped classes: nearly all are found. `python -m benchmarks check` makes all of them."""

import random
from collections import Counter
from pathlib import Path

from benchmarks.mutations.mutants import KINDS, mutants
from benchmarks.mutations.text_mistakes import TEXT_KINDS

from ostler.adapters.config.paths import class_files_in
from ostler.adapters.config.tool_files import answers_of_tests, shipped_tools
from ostler.rules.reading import check_text, load_manifests

FOLDER = Path(__file__).parents[2] / "serviceclasses"
RARE = {"dependency", "regex group", "regex text"}
"""Kinds for which not every class has a place."""

CLASSES = 6
"""Shipped classes that mistakes are put into here."""

PER_CLASS = 1
"""Mutants of each kind that are made of each class here."""


def test_nearly_all_seeded_mistakes_are_found() -> None:
    tools = shipped_tools().with_answers(answers_of_tests(FOLDER))
    texts = [file.read_text(encoding="utf-8") for file in class_files_in(FOLDER)]
    loaded = [item.service_class for text in texts for item in load_manifests(text)]
    classes = {item.name: item for item in loaded}
    made: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for text in random.Random(5).sample(texts, CLASSES):
        for mutant in mutants(text, tools, seed=5, limit=PER_CLASS):
            made[mutant.kind] += 1
            missed[mutant.kind] += not check_text(mutant.text, "mutant", tools, classes).findings
    assert set(made) >= (set(KINDS) | set(TEXT_KINDS)) - RARE
    assert missed.total() / made.total() <= 0.02, +missed
