"""What installs the packages that programs load from their own folder, as the lock file next to them shows."""

import posixpath
import re
from collections.abc import Callable, Collection

from msgspec import Struct
from msgspec.structs import replace

from ostler.rules.imports.found import PROGRAMS, Found, FoundService, job, named_in
from ostler.rules.imports.node_package import INSTALL, LOCKS

_INSTALLING = r"\b(?:ci|i|install|sync|deps\.get)\b"
_NODE_PROGRAMS = re.compile(r"(?:^|[\s/;&|=])(?:npm|npx|pnpm|pnpx|yarn|bun|bunx|node|nodemon|tsx|ts-node|vite|next)\s")


class _Installer(Struct, frozen=True):
    """What installs the packages of one lock file.

    Attributes:
        program: what does so, by its name.
        line: the command.
        used: what a command has that needs the packages.
    """

    program: str
    line: str
    used: re.Pattern[str]


INSTALLERS = {
    **{
        lock: _Installer(
            manager, f"{manager} install" + (" --no-audit --no-fund" if manager == "npm" else ""), _NODE_PROGRAMS
        )
        for lock, manager in LOCKS.items()
    },
    "Gemfile.lock": _Installer(
        "bundle", "bundle check || bundle install",
        re.compile(r"(?:^|[\s/;&|=])(?:bundle|ruby|rails|rake|rackup|puma|sidekiq|jekyll)\s"),
    ),
    "composer.lock": _Installer("composer", "composer install --no-interaction", re.compile(r"\b(?:php|composer)\s")),
    "mix.lock": _Installer("mix", "mix deps.get", re.compile(r"\bmix\s")),
    "poetry.lock": _Installer("poetry", "poetry install --no-interaction", re.compile(r"\bpoetry run\s")),
    "pdm.lock": _Installer("pdm", "pdm install", re.compile(r"\bpdm run\s")),
    "Pipfile.lock": _Installer("pipenv", "pipenv sync --dev", re.compile(r"\bpipenv run\s")),
}  # fmt: skip
"""What installs the packages that a file fixes the versions of; `uv run` does so itself."""


def with_installs(found: Found, names_in: Callable[[str], Collection[str]]) -> Found:
    """Return `found` with a job before the programs of each folder that installs what they load from there.

    Nothing is added for a lock file if a service watches it, or already runs its program to install. Of the managers of
    Node's packages, which would replace each other's, one installs.

    Args:
        found: what one file says, with paths from the project's folder.
        names_in: returns the names of the files in a folder, relative to the project's; none for one outside.
    """
    services = list(found.services)
    for folder in dict.fromkeys(each.folder for each in found.services if each.class_name in PROGRAMS):
        beside = names_in(folder)
        for lock in (name for name in INSTALLERS if name in beside):
            services = _installed(services, folder, f"{folder}/{lock}" if folder else lock)
    return replace(found, services=tuple(services))


def _installed(services: list[FoundService], folder: str, lock: str) -> list[FoundService]:
    installer = INSTALLERS[lock.rpartition("/")[2]]
    alike = {name: each.program for name, each in INSTALLERS.items() if each.used is installer.used}
    own = re.compile(rf"\b(?:{'|'.join(alike.values())})\b[^;&|]*\s{_INSTALLING}")
    locks = {posixpath.join(folder, name) for name in alike}
    if any(not locks.isdisjoint(each.watch) or own.search(each.line) for each in services):
        return services
    needing = {each.name for each in services if each.folder == folder and installer.used.search(f"{each.line} ")}
    if not needing:
        return services
    base = named_in(folder, INSTALL)
    taken = {each.name for each in services}
    name = base if base not in taken else f"{base}-{installer.program}"
    added = job(name, installer.line, lock, directory=folder, watch=(lock,))
    return [
        added,
        *(
            replace(each, depends_on={name: "completed", **each.depends_on}) if each.name in needing else each
            for each in services
        ),
    ]
