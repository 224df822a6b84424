"""requirements.lock pins everything that pyproject.toml asks for, and the environment is what it pins."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
REFRESH = "refresh it as CONTRIBUTING.md says"


def locked() -> dict[str, Version]:
    """Return the pins that apply to this environment."""
    pins: dict[str, Version] = {}
    for line in LOCK.splitlines():
        if re.match(r"[A-Za-z0-9]", line):
            requirement = Requirement(line.removesuffix("\\"))
            if requirement.marker is None or requirement.marker.evaluate():
                (specifier,) = requirement.specifier
                pins[canonicalize_name(requirement.name)] = Version(specifier.version)
    return pins


def declared() -> list[Requirement]:
    extras = [text for texts in PYPROJECT["project"]["optional-dependencies"].values() for text in texts]
    texts = [*PYPROJECT["project"]["dependencies"], *extras, *PYPROJECT["dependency-groups"]["dev"]]
    return [Requirement(text) for text in texts]


@pytest.mark.parametrize("requirement", declared(), ids=str)
def test_every_requirement_has_a_pin_that_fits(requirement: Requirement) -> None:
    pin = locked().get(canonicalize_name(requirement.name))
    assert pin is not None, f"requirements.lock has no {requirement.name}; {REFRESH}"
    assert requirement.specifier.contains(pin), f"requirements.lock pins {requirement.name} {pin}; {REFRESH}"


def test_what_the_requirements_need_is_pinned_too() -> None:
    pins = locked()
    waiting = [(requirement.name, frozenset(requirement.extras)) for requirement in declared()]
    seen: set[tuple[str, frozenset[str]]] = set()
    problems: list[str] = []
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            found = distribution(name)
        except PackageNotFoundError:
            problems.append(f"{name} is not installed")
            continue
        for text in found.requires or ():
            needed = Requirement(text)
            if applies(needed, extras):
                pin = pins.get(canonicalize_name(needed.name))
                if pin is None or not needed.specifier.contains(pin, prereleases=True):
                    problems.append(f"{name} needs {needed}, the lock has {pin}")
                waiting.append((needed.name, frozenset(needed.extras)))
    assert not problems, REFRESH


def applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    if requirement.marker is None:
        return True
    return any(requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras))


def test_every_pin_has_a_hash() -> None:
    entries = re.split(r"\n(?=[A-Za-z0-9])", LOCK)[1:]
    assert entries
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_it_names_no_registry_and_no_folder() -> None:
    assert not re.search(r"https?:|file:|^-|/", LOCK, re.MULTILINE)
