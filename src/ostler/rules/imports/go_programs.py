"""Servers in Go, which their own source shows: `main.go`, or one below `cmd/`."""

import re
from collections.abc import Callable, Collection

from ostler.rules.imports.found import Found, FoundService, UnreadableSourceError, job, label, shell_service

_NAMES = ("server", "api", "web", "app", "http", "service")
_SERVES = re.compile(
    r"\bListenAndServe(?:TLS)?\(|\bhttp\.Serve\(|\bgin\.(?:Default|New)\(|\becho\.New\(|\bfiber\.New\("
)
_REQUIRES = re.compile(
    r"(?m)^(?:require)?\s+github\.com/(?:gin-gonic/gin|labstack/echo|gofiber/fiber|go-chi/chi|gorilla/mux)\b"
    r"(?!.*// indirect)"
)
"""Routers: a program of a module that needs one directly is likely to serve."""

_MODULE = re.compile(r"(?m)^module\s+\"?(?:\S*?/)?(?P<name>[^\s/\"]+?)(?:/v\d+)?\"?\s*(?://.*)?$")
_MAIN = re.compile(r"(?m)^package main\b")
_AIR = re.compile(r"(?m)^(?:tool)?\s+github\.com/(?:air-verse|cosmtrek)/air\s*$")
_GET_AIR = "it needs air: go install github.com/air-verse/air@latest"
_PORT = "its port is the variable PORT if it reads that; else the port that it opens is found"


def read_go_module(text: str, file: str, beside: Collection[str], read: Callable[[str], str]) -> Found:
    """Return the server of a Go module, after a job that builds it.

    Args:
        text: its `go.mod`.
        file: the path of that in the project.
        beside: the names of the files next to it.
        read: returns the text of a file, by its path from there; raises UnreadableSourceError.
    """
    serve = ""
    if ".air.toml" in beside:  # which says what is built and run, and does so again as files change
        serve = "go tool air" if _AIR.search(text) else "air"
    found = _MODULE.search(text)
    name = found["name"] if found else ""
    routes = _REQUIRES.search(text) is not None
    mains: list[str] = []
    folders = ["", *(f"cmd/{each}" for each in dict.fromkeys([name, *_NAMES]) if each), *_NAMES]
    for folder in folders:
        path = f"{folder}/main.go" if folder else "main.go"
        try:
            source = read(path)
        except UnreadableSourceError:
            continue
        package = f"./{folder}" if folder else "."
        if _SERVES.search(source) or (routes and _MAIN.search(source)):
            return Found(_services(package, serve, f"{file}, {path}", file, beside))
        mains += [package] if _MAIN.search(source) else []
    if serve:
        return Found(_services("./...", serve, f"{file}, .air.toml", file, beside))
    if not mains:
        return Found()
    how = f'class: dev-server, args: {{command: "go run {mains[0]}"}}'
    return Found(notes=(f"{file}: {', '.join(mains)}: if it serves, such a service is written {how}",))


def _services(package: str, serve: str, origin: str, file: str, beside: Collection[str]) -> tuple[FoundService, ...]:
    own = label(file.split("/")[-2]) if "/" in file else ""
    build, web = (f"{own}-build", own) if own else ("build", "web")
    files = (".env",) if ".env" in beside else ()
    notes = (_PORT, *((_GET_AIR,) if serve == "air" else ()))
    return (
        job(build, f"go build -o /dev/null {package}", file, watch=("go.mod", "go.sum")),
        shell_service(
            web,
            serve or f"go run {package}",
            origin,
            port=0,
            depends_on={build: "completed"},
            env_files=files,
            notes=notes,
        ),
    )
