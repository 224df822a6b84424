"""`ostler.toml` as Settings, with every problem at its line."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from ostler.adapters.regular_files import read_regular_text
from ostler.model.errors import Finding, ManifestError, StoreError
from ostler.model.near_names import did_you_mean
from ostler.model.settings import Settings

if TYPE_CHECKING:
    from ostler.model.json import KeyPath
    from ostler.rules.text.toml_source import KeyPlaces

_IN_WORDS = {
    "tuple_type": "must be a list of texts",
    "string_type": "must be text in quotes",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "model_type": "must be a table",
    "byte_size": "must be a number of bytes, or text such as '256KiB'",
    "byte_size_unit": "must be a number of bytes, or text such as '256KiB'",
}
"""Pydantic's error types in the words of TOML."""
_MAX_BYTES = 1024 * 1024
STORE_VARIABLE = "OSTLER_STORE"
"""The environment variable that overrides the setting `store`."""


def load_settings(path: Path) -> Settings:
    """Return the settings in the file at `path`; the defaults when there is no file.

    Raises:
        ManifestError: it cannot be read or is wrong; `findings` lists every problem with its line.
    """
    try:
        text = read_regular_text(path, _MAX_BYTES)
    except FileNotFoundError:
        return Settings.model_construct()  # the defaults need no check, and to build that takes 4 ms of a start
    except UnicodeDecodeError as exc:
        raise _refused([Finding(f"is not UTF-8 text ({exc.reason})", str(path), rule="encoding")], path) from exc
    except OSError as exc:
        raise _refused([Finding(f"cannot be read: {exc.strerror}", str(path), rule="unreadable")], path) from exc
    return parse_settings(text, str(path))


def settings_in_force(path: Path, environ: Mapping[str, str]) -> Settings:
    """Return the settings in the file at `path`, with the store that the variable `OSTLER_STORE` names, if it is set.

    Raises:
        ManifestError: the file cannot be read or is wrong.
        StoreError: the variable is neither `sqlite` nor a URL of PostgreSQL.
    """
    settings = load_settings(path)
    asked = environ.get(STORE_VARIABLE)
    return with_store(settings, asked, f"the variable {STORE_VARIABLE}") if asked else settings


def with_store(settings: Settings, store: str, what: str) -> Settings:
    """Return `settings` with another store; `what` names it in errors.

    Raises:
        StoreError: it is neither `sqlite` nor a URL of PostgreSQL.
    """
    try:
        return settings.model_copy(update={"store": Settings.model_validate({"store": store}).store})
    except ValidationError as exc:
        reason = str(exc.errors()[0]["msg"]).removeprefix("Value error, ")
        raise StoreError(f"{what} {reason}", next_actions=("correct it, or leave it out",)) from None


def parse_settings(text: str, file: str) -> Settings:
    """Return the settings written in `text`; `file` names it in findings.

    Raises:
        ManifestError: it is wrong; `findings` lists every problem with its line.
    """
    from ostler.rules.text.toml_source import TomlError, key_places, parse_toml  # noqa: PLC0415 (most have no file)

    try:
        data = parse_toml(text)
    except TomlError as exc:
        finding = Finding(f"is not valid TOML: {exc}", file, *exc.place, rule="syntax")
        raise _refused([finding], Path(file)) from exc
    try:
        return Settings.model_validate(data)
    except ValidationError as exc:
        places = key_places(text)
        findings = [_finding(problem, places, file) for problem in exc.errors(include_url=False)]
        findings.sort(key=lambda finding: (finding.line, finding.column))
        raise _refused(findings, Path(file)) from exc


def _refused(findings: Sequence[Finding], path: Path) -> ManifestError:
    return ManifestError(findings, what=path.name)


def _finding(problem: Any, places: "KeyPlaces", file: str) -> Finding:
    location: KeyPath = problem["loc"]
    line, column = places.nearest(location)
    path = ".".join(map(str, location))
    if problem["type"] == "extra_forbidden":
        known, key = _keys_at(location[:-1]), str(location[-1])
        if len(location) > 1 and key in _keys_at(()):
            fix = f"{key!r} belongs to the top: write it before the first [table]"
        else:
            fix = did_you_mean(key, known, f"known keys: {', '.join(known)}")
        message, rule = f"unknown key {path!r}", "unknown-key"
    else:
        fix, rule = "", "value"
        reason = _IN_WORDS.get(problem["type"]) or str(problem["msg"]).removeprefix("Value error, ")
        message = f"{path}: {reason}" if path else reason
    return Finding(message, file, line, column, rule=rule, path=path, fix=fix)


def _keys_at(location: "KeyPath") -> list[str]:
    model: type[BaseModel] = Settings
    is_of_many = False
    for key in location:
        if is_of_many:
            is_of_many = False
            continue
        field = next((field for field in model.model_fields.values() if field.alias == key), None)
        inner = field and next(
            (
                kind
                for kind in (field.annotation, *get_args(field.annotation))
                if isinstance(kind, type) and issubclass(kind, BaseModel)
            ),
            None,
        )
        if field is None or inner is None:
            return []
        model, is_of_many = inner, get_origin(field.annotation) in (tuple, dict)
    if is_of_many:
        return []
    return sorted(field.alias or name for name, field in model.model_fields.items())
