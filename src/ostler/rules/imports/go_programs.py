"""Servers in Go, which their own source shows: `main.go`, or one below `cmd/`."""

import re
from collections.abc import Callable, Collection

from ostler.rules.imports.found import Found, FoundService, UnreadableSourceError, job, label, shell_service

_NAMES = ("server", "api", "web", "app", "http", "service")
_SERVES = re.compile(
    r"\bListenAndServe(?:TLS)?\(|\bhttp\.Serve\(|\bgin\.(?:Default|New)\(|\becho\.New\(|\bfiber\.New\("
)
_MODULE = re.compile(r"(?m)^module\s+\"?(?:\S*?/)?(?P<name>[^\s/\"]+?)(?:/v\d+)?\"?\s*(?://.*)?$")
_PORT = "its port is the variable PORT if it reads that; else the port that it opens is found"


def read_go_module(text: str, file: str, beside: Collection[str], read: Callable[[str], str]) -> Found:
    """Return the server of a Go module, after a job that builds it.

    Args:
        text: its `go.mod`.
        file: the path of that in the project.
        beside: the names of the files next to it.
        read: returns the text of a file, by its path from there; raises UnreadableSourceError.
    """
    found = _MODULE.search(text)
    name = found["name"] if found else ""
    folders = ["", *(f"cmd/{each}" for each in dict.fromkeys([name, *_NAMES]) if each), *_NAMES]
    for folder in folders:
        path = f"{folder}/main.go" if folder else "main.go"
        try:
            source = read(path)
        except UnreadableSourceError:
            continue
        if _SERVES.search(source):
            return Found(_services(f"./{folder}" if folder else ".", f"{file}, {path}", file, beside))
    return Found()


def _services(package: str, origin: str, file: str, beside: Collection[str]) -> tuple[FoundService, ...]:
    own = label(file.split("/")[-2]) if "/" in file else ""
    build, web = (f"{own}-build", own) if own else ("build", "web")
    files = (".env",) if ".env" in beside else ()
    return (
        job(build, f"go build -o /dev/null {package}", file, watch=("go.mod", "go.sum")),
        shell_service(
            web, f"go run {package}", origin, port=0, depends_on={build: "completed"}, env_files=files, notes=(_PORT,)
        ),
    )
