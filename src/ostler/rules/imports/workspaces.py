"""Which folders of a checkout are packages of its workspace, by npm's, Yarn's, Bun's, pnpm's and Lerna's files."""

import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from fnmatch import fnmatchcase

from msgspec import Struct
from msgspec.structs import replace

from ostler.model.json import JsonObject, as_list, as_object, parse_json
from ostler.rules.imports.found import Found, UnreadableSourceError, read_yaml
from ostler.rules.imports.node_package import APP_SCRIPTS, INSTALL, lock_of, needs, package_manager, read_package_json

_FILTER = re.compile(r"\s(?:-F|--filter|--scope|-w|--workspace)[= ]['\"]?([^\s'\"]+)")


class Workspace(Struct, frozen=True):
    """What the root of several packages says of them.

    Attributes:
        folders: patterns of their folders, as `apps/*`; those that begin with `!` leave folders out.
        manager: what runs their scripts.
        installed_by: the service that installs what they need; empty if none needs anything.
        started: the packages that the root's own script starts, by name or folder; empty stands for all.
    """

    folders: tuple[str, ...]
    manager: str
    installed_by: str = ""
    started: tuple[str, ...] = ()

    def has(self, folder: str) -> bool:
        """Return whether the folder, relative and with `/`, is one of its packages."""
        last = next((glob for glob in reversed(self.folders) if _matches(folder, glob.removeprefix("!"))), "!")
        return not last.startswith("!")

    @property
    def named(self) -> Collection[str]:
        """Names of folders that are packages although such folders usually run nothing: a site, or one it names."""
        return {"docs", *(glob.rpartition("/")[2] for glob in self.folders)}

    def with_packages(self, texts: Iterable[str]) -> "Workspace":
        """Return it with what installs its packages, if one of these needs another one: no lock file has to say so.

        Args:
            texts: the `package.json` of each.
        """
        return replace(self, installed_by=INSTALL) if any(needs(read_package(text)) for text in texts) else self

    def package(self, text: str, file: str, folder: str, beside: Collection[str] = ()) -> Found:
        """Return the services of its package in `folder`; those that the root's script leaves out are not enabled.

        Args:
            text: the package's `package.json`.
            file: the path of that file.
            folder: the package's folder, relative, with `/`.
            beside: the names of the files in it.

        Raises:
            UnreadableSourceError: it is not JSON, or no package.
        """
        found = read_package_json(text, file, beside, manager=self.manager, installed_by=self.installed_by)
        name = str(read_package(text).get("name") or "")
        called = (name, name.rpartition("/")[2], folder)
        if not self.started or any(fnmatchcase(one, glob) for one in called for glob in self.started):
            return found
        note = "enabled: false, as the script at the top does not start it"
        return Found(tuple(replace(service, enabled=False, notes=(*service.notes, note)) for service in found.services))


def workspace_of(package: str, pnpm: str, lerna: str, beside: Collection[str]) -> Workspace | None:
    """Return the workspace whose root has these files, or None if it is one package.

    Args:
        package: the text of its `package.json`.
        pnpm: the text of `pnpm-workspace.yaml`; empty without one.
        lerna: the text of `lerna.json`; empty without one.
        beside: the names of the files next to them.
    """
    root = read_package(package)
    own = root.get("workspaces")
    more: JsonObject = {}
    with suppress(UnreadableSourceError):
        more = read_yaml(pnpm)
    named = [
        *as_list(own),
        *as_list(as_object(own).get("packages")),
        *as_list(more.get("packages")),
        *as_list(read_package(lerna).get("packages")),
    ]
    folders = dict.fromkeys(str(one).removeprefix("./").rstrip("/") for one in named if one)
    if not folders:
        return None
    scripts = as_object(root.get("scripts"))
    line = next((str(scripts[name]) for name in APP_SCRIPTS if name in scripts), "")
    filters = (one.strip(".").removeprefix("/") for one in _FILTER.findall(line) if one[0] not in "![")
    install = INSTALL if lock_of(beside) or needs(root) else ""
    return Workspace(tuple(folders), package_manager(root, beside), install, tuple(one for one in filters if one))


def read_package(text: str) -> JsonObject:
    """Return the content of a `package.json`; nothing of one that cannot be read."""
    with suppress(ValueError):
        return as_object(parse_json(text))
    return {}


def _matches(folder: str, glob: str) -> bool:
    """Return whether a path matches: `*` stands for text within one folder's name, `**` for any folders, or none."""
    parts = (
        "(?:[^/]+/)*" if part == "**" else re.escape(part).replace(r"\*", "[^/]*").replace(r"\?", "[^/]") + "/"
        for part in glob.split("/")
    )
    return re.fullmatch("".join(parts), f"{folder}/") is not None
