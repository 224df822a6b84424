"""Where Ostler's files are: the configuration folder, the state folder and the classes that are shipped.

The bridge imports this module on every start, so it needs the light parts of the standard library only: a dataclass
would cost 7 ms of its 60. platformdirs is imported when a platform's own folder has to be found.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ostler.model.errors import DefinitionError, StoreError

CONFIG_VARIABLE = "OSTLER_CONFIG"
STATE_VARIABLE = "OSTLER_STATE"

_CLASS_SUFFIXES = (".yaml", ".yml", ".json")

_MAX_SOCKET_PATH = 100
"""Bytes that every Unix accepts as a socket's path (the limits are 104 on macOS and 108 on Linux)."""


class Paths(NamedTuple):
    """The configuration folder and the state folder, absolute, and what is in them.

    Attributes:
        config_dir: what people write: `mcp.json`, `serviceclasses/`, `services/`, `ostler.toml`. It need not exist.
        state_dir: what Ostler writes. `create_state` makes it.
    """

    config_dir: Path
    state_dir: Path

    @classmethod
    def resolve(
        cls,
        config: str | Path | None = None,
        state: str | Path | None = None,
        *,
        environ: Mapping[str, str] = os.environ,
    ) -> "Paths":
        """Return the folders in force: the option, else the variable, else the platform's own folder.

        Args:
            config: the value of `--config`, if given.
            state: the value of `--state`, if given.
            environ: where `OSTLER_CONFIG` and `OSTLER_STATE` are looked up; an empty value counts as absent.

        Raises:
            DefinitionError: the name of one is not UTF-8 text.
        """
        return cls(
            _absolute(config or environ.get(CONFIG_VARIABLE) or _platform_config_dir()),
            _absolute(state or environ.get(STATE_VARIABLE) or _platform_state_dir()),
        )

    @property
    def mcp_json(self) -> Path:
        """The downstream servers."""
        return self.config_dir / "mcp.json"

    @property
    def own_servers(self) -> Path:
        """The downstream servers that clients added. Ostler writes it, unlike `mcp.json`."""
        return self.config_dir / "mcp.own.json"

    @property
    def serviceclasses_dir(self) -> Path:
        """The user's ServiceClasses."""
        return self.config_dir / "serviceclasses"

    @property
    def packs_dir(self) -> Path:
        """Packs of classes that were added, and what they were then."""
        return self.config_dir / "packs"

    @property
    def services_dir(self) -> Path:
        """The static services of Kubernetes."""
        return self.config_dir / "services"

    @property
    def settings_file(self) -> Path:
        """The optional settings."""
        return self.config_dir / "ostler.toml"

    @property
    def tokens_file(self) -> Path:
        """Digests of the bearer tokens of those who come over HTTP. `ostler token` writes it."""
        return self.config_dir / "tokens.json"

    @property
    def audit_dir(self) -> Path:
        """What principals changed."""
        return self.state_dir / "audit"

    @property
    def secrets_dir(self) -> Path:
        """What people consented to by signing in to servers."""
        return self.state_dir / "secrets"

    @property
    def answers_dir(self) -> Path:
        """What people answered to questions of entries."""
        return self.secrets_dir / "answers"

    @property
    def database(self) -> Path:
        """The store's file."""
        return self.state_dir / "ostler.db"

    @property
    def checked_classes(self) -> Path:
        """Digests of class files that need no check at the next start."""
        return self.state_dir / "checked-classes.json"

    @property
    def project_journal(self) -> Path:
        """Which projects are being brought up."""
        return self.state_dir / "projects.json"

    @property
    def references_key(self) -> Path:
        """What the marks of references to secrets are signed with."""
        return self.state_dir / "secret-references.key"

    @property
    def lock(self) -> Path:
        """The file that the server which owns the state folder holds locked."""
        return self.state_dir / "ostler.lock"

    @property
    def socket(self) -> Path:
        """The server's local socket: `ostler.sock` in the state folder.

        When that path is too long for a Unix socket it is `/tmp/ostler-<uid>/<hash of the state folder>.sock`. It
        depends on the state folder and the user alone, not on variables: clients that are started with different
        environments must find the same server.
        """
        plain = self.state_dir / "ostler.sock"
        if os.name != "posix" or len(os.fsencode(plain)) <= _MAX_SOCKET_PATH:
            return plain
        import hashlib  # noqa: PLC0415 (few folders need it, and it loads OpenSSL)

        digest = hashlib.sha256(os.fsencode(self.state_dir)).hexdigest()[:20]
        return Path(f"/tmp/ostler-{os.getuid()}") / f"{digest}.sock"  # noqa: S108 (create_state checks its owner)

    @property
    def logs_dir(self) -> Path:
        """Log files of the server and of downstream servers' stderr."""
        return self.state_dir / "logs"

    @property
    def server_log(self) -> Path:
        """Where a server in the background writes what it has to say."""
        return self.logs_dir / "server.log"

    @property
    def process_dir(self) -> Path:
        """What the built-in process server keeps: records and log files of local processes."""
        return self.state_dir / "processes"

    @property
    def children_dir(self) -> Path:
        """Notes about running downstream children, to end those that a crash left behind."""
        return self.state_dir / "children"

    def create_state(self) -> None:
        """Make the state folder and its subfolders, accessible to this user alone (mode 0700).

        An existing folder is narrowed to 0700 when it is empty or was Ostler's before.

        Raises:
            StoreError: a folder cannot be made, belongs to someone else, or is open to others and holds other
                things (so that it cannot be meant for Ostler alone).
        """
        try:
            _make_private(self.state_dir, known=(self.database, self.lock))
            for folder in (self.logs_dir, self.process_dir, self.children_dir, self.secrets_dir, self.answers_dir):
                _make_private(folder, known=(folder,))
            if self.socket.parent != self.state_dir:
                _make_private(self.socket.parent, known=(self.socket.parent,))
        except OSError as exc:
            raise StoreError(
                f"the state folder {str(self.state_dir)!r} cannot be used: {exc.strerror or exc} ({exc.filename!r})",
                next_actions=(f"make it writable, or choose another one (--state or {STATE_VARIABLE})",),
            ) from exc


def shipped_classes_dir() -> Path | None:
    """Return the folder of the ServiceClasses that come with Ostler, or None when the installation has none.

    In a wheel (pip, uvx) they are package data; in a checkout they are `serviceclasses/` at its top.
    """
    package = Path(__file__).resolve().parents[2]
    packaged = package / "_serviceclasses"
    if packaged.is_dir():
        return packaged
    checkout = package.parents[1]
    in_checkout = checkout / "serviceclasses"
    if package.parent.name == "src" and (checkout / "pyproject.toml").is_file() and in_checkout.is_dir():
        return in_checkout
    return None


def manifest_schema_file() -> Path | None:
    """Return the JSON Schema of manifests that comes with Ostler, or None when the installation has none."""
    shipped = shipped_classes_dir()
    file = shipped / "schema" / "serviceclass.json" if shipped is not None else None
    return file if file is not None and file.is_file() else None


def class_files_in(folder: Path) -> list[Path]:
    """Return the manifest files directly in `folder`, by name; none when it is absent or cannot be read.

    Hidden files are left out: editors keep their own there. So are the tests of classes (`NAME.test.yaml`).
    """
    return [file for file in _manifests_in(folder) if not is_test_file(file)]


def class_test_files_in(folder: Path) -> list[Path]:
    """Return the files of class tests directly in `folder`, by name; none when it is absent or cannot be read."""
    return [file for file in _manifests_in(folder) if is_test_file(file)]


def is_test_file(file: Path) -> bool:
    """Whether `file` is named as a file of class tests: `NAME.test.yaml`, `.yml` or `.json`."""
    return file.suffix in _CLASS_SUFFIXES and file.stem.endswith(".test")


def _manifests_in(folder: Path) -> list[Path]:
    try:
        files = sorted(folder.iterdir())
    except OSError:
        return []
    return [file for file in files if file.suffix in _CLASS_SUFFIXES and not file.name.startswith(".")]


def _absolute(path: str | Path) -> Path:
    # Not resolved: a link stays what the user called it. Normalised: one folder has one socket.
    absolute = os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111
    try:
        absolute.encode()
    except UnicodeEncodeError:
        said = f"the folder {absolute!r} has a name that is not UTF-8 text, which no log or message can carry"
        step = f"name another one by --config or --state ({CONFIG_VARIABLE}, {STATE_VARIABLE}), or rename it"
        raise DefinitionError(said, next_actions=(step,)) from None
    return Path(absolute)


def _platform_config_dir() -> Path:
    import platformdirs  # noqa: PLC0415 (only wanted when nothing else says where)

    return platformdirs.user_config_path("ostler", appauthor=False)


def _platform_state_dir() -> Path:
    import platformdirs  # noqa: PLC0415 (only wanted when nothing else says where)

    return platformdirs.user_state_path("ostler", appauthor=False)


def _make_private(folder: Path, *, known: tuple[Path, ...]) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.name != "posix":
        return
    facts = folder.stat()
    if facts.st_uid != os.getuid():
        raise StoreError(
            f"the state folder {str(folder)!r} belongs to another user (uid {facts.st_uid})",
            next_actions=(f"choose a folder of your own (--state or {STATE_VARIABLE})",),
        )
    if not stat.S_IMODE(facts.st_mode) & 0o077:
        return
    if not any(path.exists() for path in known) and any(folder.iterdir()):
        raise StoreError(
            f"the state folder {str(folder)!r} is open to other users "
            f"(mode {stat.S_IMODE(facts.st_mode):04o}) and holds other things than Ostler's",
            next_actions=(f"choose a folder for Ostler alone (--state or {STATE_VARIABLE})", f"or chmod 700 {folder}"),
        )
    folder.chmod(0o700)
