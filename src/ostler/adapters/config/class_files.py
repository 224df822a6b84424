"""ServiceClass files: those that are shipped and the user's, loaded into one snapshot, and written by request."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace as replace_fields

from ostler.adapters.atomic_files import not_written, replace, write_new
from ostler.adapters.config.checked_texts import CheckedTexts
from ostler.adapters.config.manifest_files import ManifestFile, read_manifest_file
from ostler.adapters.config.paths import Paths, class_files_in, shipped_classes_dir
from ostler.adapters.config.prepared_classes import PreparedClasses
from ostler.model.errors import (
    AlreadyExistsError,
    ConflictError,
    DefinitionError,
    Finding,
    ManifestError,
    NotFoundError,
)
from ostler.model.label_names import is_label, label_of, validate_class_name
from ostler.model.tool_names import ToolNames
from ostler.rules.checking.loaded_class import LoadedClass
from ostler.rules.reading import FORMATS, load_manifests

Origin: TypeAlias = Literal["shipped", "pack", "user"]


class ClassSource(Struct, frozen=True):
    """A class and where it comes from.

    Attributes:
        loaded: the class, its text, line and digest.
        origin: `shipped` with Ostler, of a `pack`, or the `user`'s.
        path: its file.
        shadows: it takes the place of a class of the same name that is shipped, or of a pack.
    """

    loaded: LoadedClass
    origin: Origin
    path: Path
    shadows: bool = False


class ClassSnapshot(Struct, frozen=True):
    """All classes in force, and what is wrong or worth knowing about the files.

    Attributes:
        entries: by name. Classes of a file that is broken now are those of its last good version.
        findings: errors, and as warnings that a user's class replaces a shipped one.
    """

    entries: Mapping[str, ClassSource]
    findings: Sequence[Finding]


class _Place(Struct, frozen=True):
    origin: Origin
    path: Path
    digest: str = ""


@dataclass(eq=False, slots=True)
class ClassFiles:
    """Loads `*.yaml`, `*.yml` and `*.json` of two folders; writes the user's. Methods block on the disk.

    Attributes:
        shipped: the folder of the shipped classes, if there is one.
        user_dir: the user's folder; it need not exist, `create` makes it.
        known: the downstream servers and tools there are, for manifests of other forms; may be replaced at any time.
        checked: which texts need no check, because they were loaded without a finding before.
        packs: the folder of packs of classes; None where they do not count.
    """

    shipped: Path | None
    user_dir: Path
    known: ToolNames = field(default_factory=ToolNames)
    checked: CheckedTexts | None = None
    packs: Path | None = None
    _files: dict[Path, ManifestFile[LoadedClass]] = field(
        default_factory=dict[Path, ManifestFile[LoadedClass]], init=False, repr=False
    )
    _pinned: dict[Path, str] = field(default_factory=dict[Path, str], init=False, repr=False)
    _prepared: PreparedClasses | None = field(default=None, init=False, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False, repr=False)

    def __post_init__(self) -> None:
        self._prepared = None if self.shipped is None else PreparedClasses(self.shipped)

    @classmethod
    def of(cls, paths: Paths) -> "ClassFiles":
        """Return the class files of the folders in `paths`: shipped, of packs, and the user's."""
        checked = CheckedTexts(paths.checked_classes)
        return cls(shipped_classes_dir(), paths.serviceclasses_dir, checked=checked, packs=paths.packs_dir)

    def reload(self) -> ClassSnapshot:
        """Read what changed on the disk and return all classes in force. Problems are findings, never errors."""
        with self._lock:
            files = [_Place("user", path) for path in class_files_in(self.user_dir)]
            found = self._read_pins()
            files[:0] = [_Place("pack", path, digest) for path, digest in self._pinned.items()]
            if self.shipped is not None:
                files[:0] = [_Place("shipped", path) for path in class_files_in(self.shipped)]
            known = self.known
            self._files = {file.path: self._read(file, self._files.get(file.path), known) for file in files}
            if self.checked is not None:
                self.checked.save()
            snapshot = _assemble((file, self._files[file.path]) for file in files)
            return replace_fields(snapshot, findings=(*found, *snapshot.findings))

    @property
    def depend_on_tools(self) -> bool:
        """Whether a file is read differently when other servers or tools are known."""
        return any(file.basis is not None for file in self._files.values())

    def create(self, text: str) -> ClassSource:
        """Write the class in `text` to `<name>.yaml` in the user's folder and return it as loaded from there.

        A class of the name of a shipped one takes its place.

        Raises:
            ManifestError: `text` is not a valid manifest.
            DefinitionError: `text` does not hold exactly one class.
            AlreadyExistsError: a user's class of the name, or its file, exists.
            StoreError: the file cannot be written.
        """
        with self._lock:
            name = _only_class(text, self.known)
            existing = self.reload().entries.get(name)
            if existing is not None and existing.origin == "user":
                raise AlreadyExistsError(
                    f"ServiceClass {name!r} already exists in {str(existing.path)!r}",
                    next_actions=(f"change it with serviceclass_update name={name}",),
                )
            path = self._file_of(name)
            try:
                write_new(path, text)
            except FileExistsError:
                raise AlreadyExistsError(
                    f"the file {str(path)!r} already exists and does not hold a valid ServiceClass {name!r}",
                    next_actions=("fix or remove that file, or choose another class name",),
                ) from None
            return self._written(name, path)

    def update(self, name: str, text: str) -> ClassSource:
        """Replace the user's class `name` by `text` and return it as loaded.

        Raises:
            ManifestError: `text` is not a valid manifest.
            DefinitionError: `text` does not hold exactly one class, or another name.
            NotFoundError: there is no such class.
            ConflictError: the class is shipped, or its file is not one that holds it alone as `<name>.yaml`.
            StoreError: the file cannot be written.
        """
        with self._lock:
            found = _only_class(text, self.known)
            if found != name:
                raise DefinitionError(
                    f"the manifest is of ServiceClass {found!r}, not {name!r}; a class cannot be renamed",
                    next_actions=(f"write 'metadata.name: {name}', or use serviceclass_create",),
                )
            path = self._own_file(name, "rewritten", "create a class of the same name, which replaces it")
            replace(path, text)
            return self._written(name, path)

    def delete(self, name: str) -> ClassSource:
        """Remove the file of the user's class `name` and return what it held; a shipped class it hid is back then.

        Raises:
            NotFoundError: there is no such class.
            ConflictError: the class is shipped, or its file is not one that holds it alone as `<name>.yaml`.
            StoreError: the file cannot be removed.
        """
        with self._lock:
            path = self._own_file(name, "deleted", "hide it with a class of the same name (serviceclass_create)")
            removed = self.reload().entries[name]
            try:
                path.unlink()
            except OSError as exc:
                raise not_written(path, exc) from exc
            self.reload()
            return removed

    def _read_pins(self) -> list[Finding]:
        """Note the files of packs; if they cannot be read, the earlier ones stay, and a finding says why."""
        if self.packs is None or not self.packs.is_dir():
            self._pinned = {}
            return []
        from ostler.adapters.config.class_packs import LOCK, pinned_manifests  # noqa: PLC0415 (most have no packs)

        try:
            self._pinned = pinned_manifests(self.packs)
        except DefinitionError as error:
            text = f"{error.summary}; no pack of classes is loaded but those that were before it broke"
            return [Finding(text, str(self.packs / LOCK), 1, rule="unreadable", fix="; ".join(error.next_actions))]
        return []

    def _read(
        self, place: _Place, before: ManifestFile[LoadedClass] | None, known: ToolNames
    ) -> ManifestFile[LoadedClass]:
        """Return the file as it is now; how one of another form is read may depend on the tools that are known."""

        def names_for(content: bytes) -> ToolNames | None:
            return known if FORMATS.may_be_in(content.decode(errors="replace")) else None

        def load(text: str, file: str) -> list[LoadedClass]:
            if place.origin == "shipped" and self._prepared is not None:
                prepared = self._prepared.load(text, file)
                if prepared is not None:
                    return [prepared]
            content = text.encode()
            basis = names_for(content)
            if self.checked is None or basis is not None:
                return load_manifests(text, file, known=basis)
            if place.origin == "shipped":  # the tests of Ostler check these
                return load_manifests(text, file, checked=True)
            loaded = load_manifests(text, file, checked=self.checked.has(content))
            if not any(each.warnings for each in loaded):
                self.checked.note(content)
            return loaded

        # An installer may have linked the shipped ones into its cache.
        within = (self.user_dir,) if place.origin == "user" else ()
        return read_manifest_file(place.path, before, load, basis_of=names_for, within=within, pin=_pin_of(place))

    def _file_of(self, name: str) -> Path:
        """Return where a new class goes.

        A name that is not a label, as muster's may be, could be the name of another class but for its case, or end in
        `.test`: it is told apart by a digest, which no label has.
        """
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        return self.user_dir / (f"{name}.yaml" if is_label(name) else f"{label_of(name)}~{digest}.yaml")

    def _own_file(self, name: str, done: str, instead: str) -> Path:
        """Return the file that may be `done`: the user's `<name>.yaml` with that class alone."""
        entries = self.reload().entries
        source = entries.get(name)
        if source is None:
            raise NotFoundError(
                "ServiceClass", name, known=list(entries), next_actions=("list the classes with serviceclass_list",)
            )
        if source.origin != "user":
            whose = "is shipped with Ostler" if source.origin == "shipped" else "comes from a pack"
            raise ConflictError(f"ServiceClass {name!r} {whose} and cannot be {done}", next_actions=(instead,))
        path = self._file_of(name)
        if source.path == self.user_dir / f"{name}.yaml":  # as a person calls the file of a class of muster
            path = source.path
        if source.path != path or path.is_symlink() or len(self._files[path].loaded) != 1:
            raise ConflictError(
                f"ServiceClass {name!r} is in {str(source.path)!r} (line {source.loaded.line}), a file that Ostler did "
                f"not write for it alone, so it was not {done}",
                next_actions=(f"edit that file by hand, or move the class to {str(path)!r}",),
            )
        return path

    def _written(self, name: str, path: Path) -> ClassSource:
        source = self.reload().entries.get(name)
        if source is None or source.path != path:
            raise ConflictError(
                f"the file {str(path)!r} was changed by someone else right after it was written",
                next_actions=("check that file and try again",),
            )
        return source


def _assemble(files: Iterable[tuple[_Place, ManifestFile[LoadedClass]]]) -> ClassSnapshot:
    """Return the snapshot of `files`, shipped ones first."""
    entries: dict[str, ClassSource] = {}
    findings: list[Finding] = []
    for place, file in files:
        findings.extend(file.findings)
        for loaded in file.loaded:
            findings.extend(loaded.warnings)
            name = loaded.service_class.name
            other = entries.get(name)
            if other is None:
                entries[name] = ClassSource(loaded, place.origin, place.path)
                continue
            there = f"{other.path}:{other.loaded.line}"
            if other.origin == place.origin:
                findings.append(
                    Finding(
                        f"ServiceClass {name!r} is already defined in {there}, which is in force",
                        str(place.path),
                        loaded.line,
                        rule="duplicate-class",
                        path="metadata.name",
                        fix="rename or remove one of them",
                    )
                )
                continue
            entries[name] = ClassSource(loaded, place.origin, place.path, shadows=True)
            findings.append(
                Finding(
                    f"ServiceClass {name!r} takes the place of the {_WHOSE[other.origin]} in {there}",
                    str(place.path),
                    loaded.line,
                    rule="shadowed-class",
                    path="metadata.name",
                    severity="warning",
                )
            )
    return ClassSnapshot(dict(sorted(entries.items())), tuple(findings))


_WHOSE = {"shipped": "shipped one", "pack": "one of a pack", "user": "user's"}


def _pin_of(place: _Place) -> Callable[[bytes], None] | None:
    """Return what refuses content of a pack's file that is not the one that was added; None for other files."""
    if not place.digest:
        return None

    def pin(content: bytes) -> None:
        if hashlib.sha256(content).hexdigest() != place.digest:
            from ostler.adapters.config.class_packs import pack_name_of  # noqa: PLC0415 (most have no packs)

            name = pack_name_of(place.path)
            found = f"has another digest than when pack {name!r} was added, so it is not loaded"
            fix = f"add the pack again (ostler class add), or 'ostler class remove {name}'"
            raise ManifestError([Finding(found, str(place.path), rule="unreadable", fix=fix)])

    return pin


def _only_class(text: str, known: ToolNames) -> str:
    """Return the name of the one class in `text`, checked to be usable as a file's name."""
    classes = load_manifests(text, "manifest", known=known)
    if len(classes) != 1:
        raise DefinitionError(
            f"the text holds {len(classes)} ServiceClasses; exactly one is needed",
            next_actions=("send one class at a time",),
        )
    return validate_class_name(classes[0].service_class.name)
