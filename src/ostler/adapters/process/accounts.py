"""Whose a process is, and where it runs: the ids, groups, home and variables of a user, and the folder to run in."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from ostler.adapters.regular_files import expanded
from ostler.model.errors import ArgumentError, OperationError


class Account(Struct, frozen=True):
    """A user of the system.

    Attributes:
        name: its name.
        uid: its number.
        gid: the number of its main group.
        groups: the numbers of all its groups.
        is_own: Ostler runs as this user already, so that nothing is to be changed.
        home: its home folder, which need not exist.
        shell: its login shell.
    """

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    is_own: bool
    home: Path
    shell: str

    @property
    def variables(self) -> Mapping[str, str]:
        """The variables that show a program whose process it is."""
        return {"HOME": str(self.home), "USER": self.name, "LOGNAME": self.name, "SHELL": self.shell}

    def folder(self) -> Path:
        """Return the folder to run in when none is given: its home, or the root folder when it has none."""
        return self.home if self.home.is_dir() else Path("/")


def account_of(name: str) -> Account:
    """Return the user `name`.

    Raises:
        ArgumentError: this system has no such users, or not this one.
        OperationError: Ostler may not start processes as this user.
    """
    if sys.platform == "win32":
        raise ArgumentError(["user: Windows cannot start a process as another user by name alone"])
    import pwd  # noqa: PLC0415 (POSIX only)

    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise ArgumentError(
            [f"user: this machine has no user {name!r}"], next_actions=("name a user of this machine, or leave it out",)
        ) from None
    own = entry.pw_uid == os.geteuid()
    if not own and os.geteuid() != 0:
        raise OperationError(
            f"only root may start a process as another user ({name!r})",
            next_actions=(
                "leave 'user' (runAs) out to run it as the user of Ostler",
                "run Ostler as that user, or as root",
            ),
        )
    return Account(
        name=name,
        uid=entry.pw_uid,
        gid=entry.pw_gid,
        groups=tuple(os.getgrouplist(name, entry.pw_gid)),
        is_own=own,
        home=Path(entry.pw_dir),
        shell=entry.pw_shell or "/bin/sh",
    )


def runs_as_root(account: Account | None) -> bool:
    """Return whether a process of that account, None for Ostler's own, has the rights of root."""
    if sys.platform == "win32":
        return False
    return (os.geteuid() if account is None else account.uid) == 0


def working_folder(given: str | None, account: Account | None) -> Path:
    """Return the folder to run in: the `given` one, else that of the user. Blocks.

    Raises:
        ArgumentError: it is not absolute.
        OperationError: it does not exist, or may not be entered.
    """
    if given is not None:
        cwd = expanded(given, "" if account is None else str(account.home))
    elif account is not None:
        cwd = account.folder()
    else:
        cwd = expanded("~")
        cwd = cwd if cwd.is_absolute() else Path(Path.cwd().anchor)
    if not cwd.is_absolute():
        raise ArgumentError(
            [f"cwd: {given!r} is not absolute"],
            next_actions=("give the whole path: the server does not run in the folder that you are in",),
        )
    try:
        is_folder = cwd.is_dir()
    except (OSError, ValueError):
        is_folder = False
    if not is_folder:
        what = "is not a folder" if os.path.lexists(cwd) else "does not exist"
        raise OperationError(f"cwd {str(cwd)!r} {what}", next_actions=("create it, or name another folder",))
    if not os.access(cwd, os.X_OK):
        raise OperationError(f"cwd {str(cwd)!r} may not be entered", next_actions=("change its permissions",))
    return cwd
