"""Ostler's entry in a client's file: added or removed; all else in the file is kept, with a backup next to it."""

import codecs
import difflib
import itertools
import json
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import cast

from msgspec import Struct

from ostler.adapters.atomic_files import not_written, replace, write_new
from ostler.adapters.caller_environment import without_own
from ostler.adapters.config.client_files import ClientFile
from ostler.adapters.config.dialects.client_texts import SourceError, parse_source, read_text
from ostler.adapters.config.dialects.entry_places import is_bare
from ostler.adapters.config.jsonc import JsoncError
from ostler.adapters.config.jsonc_edit import remove_member, set_member
from ostler.adapters.config.yaml_edit import YamlEditError, remove_yaml_entry, set_yaml_entry
from ostler.model.errors import ConflictError, Finding, ManifestError, StoreError
from ostler.model.json import JsonObject, KeyPath, as_object, as_objects
from ostler.rules.secrets.masking import credentials_in, mask, without_likely_secrets
from ostler.rules.text.toml_source import TomlError, parse_toml

OSTLER = "ostler"
"""The name of Ostler's entry."""


class Edit(Struct, frozen=True):
    """A change to a client's file that has not been made yet.

    Attributes:
        file: the file.
        before: its text; empty if it does not exist.
        after: the text that it gets.
    """

    file: ClientFile
    before: str
    after: str

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return self.before != self.after

    def diff(self) -> str:
        """Return the change as a unified diff; the credentials of other entries, which stand next to it, are masked."""
        name = str(self.file.path)
        secrets = credentials_in(parse_source(self.before, self.file.path.name).value)
        masked = (without_likely_secrets(str(mask(text, secrets))) for text in (self.before, self.after))
        before, after = (text.splitlines() for text in masked)
        return "\n".join(difflib.unified_diff(before, after, name if self.before else "/dev/null", name, lineterm=""))

    def apply(self) -> Path | None:
        """Make the change; return the backup of what was there, if anything was.

        Raises:
            ConflictError: the file has just changed, or is not one to write; nothing was written.
            StoreError: it cannot be written.
        """
        path = self.file.path.resolve()
        if not path.exists():
            try:
                write_new(path, self.after)
            except FileExistsError:
                raise _changed(self.file.path) from None
            return None
        if _text_of(path) != self.before:
            raise _changed(self.file.path)
        mark = _mark_of(path)
        backup = _backup_name(path)
        try:
            shutil.copy2(path, backup)
        except OSError as error:
            with suppress(OSError):
                backup.unlink(missing_ok=True)  # what a full disk took of it
            raise not_written(backup, error) from error
        try:
            replace(path, mark + self.after)
        except StoreError:
            backup.unlink(missing_ok=True)
            raise
        return backup


def addition(file: ClientFile, command: Sequence[str]) -> Edit:
    """Return the change that adds Ostler to a client's file, run by `command`.

    Raises:
        ManifestError: the file cannot be read, or is of a form that Ostler does not write.
    """
    before = _text_of(file.path) if file.path.exists() else ""
    entry = file.location.entry(command)
    path = _place_in(before, file)
    match file.path.suffix:
        case ".toml":
            after = _toml_with(before, file, cast("JsonObject", entry))
        case ".yaml" | ".yml":
            try:
                after = set_yaml_entry(
                    before or file.location.head,
                    str(file.location.place[0]),
                    OSTLER,
                    cast("JsonObject", entry),
                    as_list=file.location.is_list,
                )
            except YamlEditError as error:
                raise _by_hand(file, entry, str(error)) from None
        case _:
            try:
                after = set_member(before, path, entry, file.path.name)
            except (JsoncError, ValueError) as error:
                raise _broken(file, error) from None
    return Edit(file, before, _with_ends_of(before, after))


def removal(file: ClientFile) -> Edit:
    """Return the change that takes Ostler out of a client's file.

    Raises:
        ManifestError: as for `addition`.
    """
    if not file.path.exists():
        return Edit(file, "", "")
    before = _text_of(file.path)
    match file.path.suffix:
        case ".toml":
            after = _toml_without(before, file)
        case ".yaml" | ".yml":
            try:
                after = remove_yaml_entry(before, str(file.location.place[0]), OSTLER)
            except YamlEditError as error:
                raise _by_hand(file, None, str(error)) from None
        case _:
            try:
                after = remove_member(before, _place_in(before, file), with_empty=True, file=file.path.name)
            except JsoncError as error:
                raise _broken(file, error) from None
    return Edit(file, before, _with_ends_of(before, after))


def _place_in(text: str, file: ClientFile) -> KeyPath:
    """Return where Ostler's entry is in a JSON file: at the top if the entries are there (Warp), or in their place."""
    try:
        root = parse_source(text, file.path.name).value if text.strip() else None
    except SourceError:
        root = None  # the edit says what is wrong
    return (OSTLER,) if is_bare(as_object(root)) else (*file.location.place, OSTLER)


def _mark_of(path: Path) -> str:
    """Return the byte order mark of a file, which is kept.

    Raises:
        ConflictError: the file is read-only, or no UTF-8 text.
    """
    if not path.stat().st_mode & 0o222:  # root may write it all the same, and a rename asks only the folder
        raise ConflictError(
            f"{path} is read-only, so it stays as it is",
            next_actions=("make it writable, or change what writes it (such as Nix or a dotfile manager)",),
        )
    with path.open("rb") as opened:
        start = opened.read(4)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ConflictError(f"{path} is UTF-16 text, which Ostler does not write", next_actions=("save it as UTF-8",))
    return "\ufeff" if start.startswith(codecs.BOM_UTF8) else ""


def own_command(environment: Mapping[str, str], folders: Sequence[str] = ()) -> list[str]:
    """Return the command that starts Ostler's bridge on this machine, in a form that keeps working.

    Args:
        environment: where programs are found.
        folders: options for the folders, when they are not the usual ones.
    """
    path = without_own(environment).get("PATH", "")
    if _is_passing(Path(sys.prefix)):
        source = _source()
        runner = shutil.which("uvx", path=path) or "uvx"  # in full: a desktop client's PATH may lack its folder
        return [runner, *(["--from", source] if source else []), OSTLER, *folders, "serve"]
    found = shutil.which(OSTLER, path=path)
    own = Path(sys.prefix) / ("Scripts" if sys.platform == "win32" else "bin") / OSTLER
    return [found or (str(own) if own.exists() else OSTLER), *folders, "serve"]


def _is_passing(prefix: Path) -> bool:
    """Whether this environment was made by uvx for one run, and may be gone tomorrow."""
    return any(part in ("archive-v0", "environments-v2") for part in prefix.resolve().parts)


def _source() -> str:
    """Return where this Ostler was installed from, if that is not an index."""
    try:
        text = distribution(OSTLER).read_text("direct_url.json")
    except PackageNotFoundError:
        return ""
    facts = cast("JsonObject", json.loads(text)) if text else {}
    url = str(facts.get("url", ""))
    return url.removeprefix("file://")


def _with_ends_of(before: str, after: str) -> str:
    """Return `after` with the line ends of `before`, where those are all of Windows."""
    return re.sub(r"(?<!\r)\n", "\r\n", after) if "\r\n" in before and not re.search(r"(?<!\r)\n", before) else after


def _toml_with(before: str, file: ClientFile, entry: JsonObject) -> str:
    servers = _toml_servers(before, file)
    if servers.get(OSTLER) == entry:
        return before
    place = file.location.place[0]
    values = "\n".join(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in entry.items())
    table = f"{f'[[{place}]]' if file.location.is_list else f'[{place}.{OSTLER}]'}\n{values}\n"
    if OSTLER in servers:
        head, tail = _toml_around(before, file)
        after = f"{head}{table}{tail}"
    else:
        if file.location.is_list:  # an empty list that is written out cannot be added to
            before = re.sub(rf"(?m)^\s*{place}\s*=\s*\[\s*\][^\S\n]*\n?", "", before)
        after = f"{before.rstrip()}\n\n{table}" if before.strip() else table
    if _toml_servers(after, file) != {**servers, OSTLER: entry}:
        raise _by_hand(file, entry)
    return after


def _toml_without(before: str, file: ClientFile) -> str:
    """Return the text without the table of Ostler and its subtables."""
    servers = _toml_servers(before, file)
    if OSTLER not in servers:
        return before
    head, tail = _toml_around(before, file)
    after = head + tail if tail.strip() else head.rstrip() + "\n"
    if _toml_servers(after, file) != {name: entry for name, entry in servers.items() if name != OSTLER}:
        raise _by_hand(file, None)
    return after if after.strip() else ""


def _toml_around(before: str, file: ClientFile) -> tuple[str, str]:
    """Return what stands before and behind the table of Ostler and its subtables.

    Comments above the next table's header are about that table, so they stay.
    """
    place = re.escape(str(file.location.place[0]))
    header = re.compile(rf"""\s*\[\s*{place}\s*\.\s*(?:{OSTLER}|"{OSTLER}"|'{OSTLER}')\s*(?:\.[^\]]+)?\]""")
    item, part = re.compile(rf"\s*\[\[\s*{place}\s*\]\]"), re.compile(rf"\s*\[+\s*{place}\s*\.")
    lines = before.splitlines(keepends=True)
    head: list[str] = []
    tail: list[str] = []
    about_next: list[str] = []
    inside = found = False
    for number, line in enumerate(lines):
        if line.lstrip().startswith("["):
            if not file.location.is_list:
                inside = header.match(line) is not None
            elif item.match(line):
                inside = _names_ostler(lines[number + 1 :])
            else:
                inside &= part.match(line) is not None
            found |= inside
            tail += [] if inside else about_next
            about_next = []
        if not inside:
            (tail if found else head).append(line)
        elif line.strip() and not line.lstrip().startswith("#"):
            about_next = []
        else:
            about_next.append(line)
    kept = about_next if any(line.strip() for line in about_next) else []
    return "".join(head), "".join([*tail, *kept])


def _names_ostler(lines: Sequence[str]) -> bool:
    """Whether the item of a list of tables, whose lines begin here, is Ostler's."""
    keys = itertools.takewhile(lambda line: not line.lstrip().startswith("["), lines)
    return any(re.fullmatch(rf"""\s*name\s*=\s*["']{OSTLER}["']\s*(?:#.*)?""", line) for line in keys)


def _toml_servers(text: str, file: ClientFile) -> JsonObject:
    servers = _parsed_toml(text, file).get(cast("str", file.location.place[0]), {})
    if file.location.is_list and isinstance(servers, list):
        return {str(server.get("name")): server for server in as_objects(servers)}
    if not isinstance(servers, dict):
        raise _by_hand(file, None)
    return cast("JsonObject", servers)


def _parsed_toml(text: str, file: ClientFile) -> JsonObject:
    try:
        return parse_toml(text)
    except TomlError as error:
        raise _broken(file, error) from None


def _text_of(path: Path) -> str:
    try:
        return read_text(path, str(path))
    except SourceError as error:
        raise ManifestError([error.finding], what=str(path)) from None


def _backup_name(path: Path) -> Path:
    number = 1
    while (backup := path.with_name(f"{path.name}.ostler-backup{'' if number == 1 else f'-{number}'}")).exists():
        number += 1
    return backup


def _changed(path: Path) -> ConflictError:
    return ConflictError(f"{path} has just changed; nothing was written", next_actions=("run the command again",))


def _broken(file: ClientFile, error: Exception) -> ManifestError:
    try:
        parse_source(_text_of(file.path), str(file.path))
    except SourceError as source:
        return ManifestError([source.finding], what=str(file.path))
    return ManifestError([Finding(str(error), str(file.path), rule="not-an-object")], what=str(file.path))


def _by_hand(file: ClientFile, entry: object, reason: str = "") -> ManifestError:
    if entry is None:
        message = "Ostler's entry is written in a form that Ostler does not edit"
        fix = f"remove {OSTLER!r} under {file.location.place[0]!r}"
    else:
        message = "Ostler does not edit a file of this form"
        fix = f"add under {file.location.place[0]!r}: {json.dumps({OSTLER: entry}, ensure_ascii=False)}"
    message += f": {reason}" if reason else ""
    return ManifestError([Finding(message, str(file.path), rule="by-hand", fix=fix)], what=str(file.path))
