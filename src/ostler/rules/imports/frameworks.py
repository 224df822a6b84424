"""Frameworks that are served by their own program: which file shows them, and what a service of one runs."""

import re
from collections.abc import Collection
from fnmatch import fnmatchcase

from msgspec import Struct

from ostler.model.json import JsonObject, as_object
from ostler.rules.imports.found import Found, FoundService, job, named_in, shell_service
from ostler.rules.imports.shell_lines import port_of, run_with_own_port, script_port_note
from ostler.rules.imports.task_files import noted_tasks, read_toml, waits

UNREAD = {
    "Tiltfile": "tilt up", "skaffold.yaml": "skaffold dev", "garden.yml": "garden dev", "devenv.nix": "devenv up",
    "flake.nix": "nix develop -c PROGRAM", "devspace.yaml": "devspace dev", "okteto.yml": "okteto up",
    "Earthfile": "earthly +TARGET", "devbox.json": "devbox services up", "mprocs.yaml": "mprocs",
    "supervisord.conf": "supervisord -n -c supervisord.conf", "circus.ini": "circusd circus.ini",
    "ecosystem.config.js": "env PM2_HOME=.pm2 pm2-runtime ecosystem.config.js",
    "ecosystem.config.cjs": "env PM2_HOME=.pm2 pm2-runtime ecosystem.config.cjs",
}  # fmt: skip
"""Files of tools that start services and are not read, and how such a tool is called."""


class _Framework(Struct, frozen=True):
    """What runs a framework's development server.

    Attributes:
        sign: a regular expression that its file has.
        serve: the command; the server takes its port as `{port}`, else as the variable PORT.
        migrate: the command that brings its database up to date; empty for none.
        build: the command that builds it before its first start, which may take minutes; empty for none.
        watch: the files whose change asks for another build.
        wrapper: the program that a checkout may have for itself, and that replaces the first word then.
        bundled: Bundler runs it if there is a Gemfile.
        note: what to know of it.
    """

    sign: str
    serve: str
    migrate: str = ""
    build: str = ""
    watch: tuple[str, ...] = ()
    wrapper: str = ""
    bundled: bool = False
    note: str = ""


_SPRING_PORT = "--server.port={port}"
_QUARKUS = "-Dquarkus.http.port={port}"
_GRADLE_FILES = ("build.gradle*", "settings.gradle*")
_GRADLE = (
    _Framework(
        r"org\.springframework\.boot", f"gradle bootRun --args={_SPRING_PORT}", wrapper="gradlew",
        build="gradle classes", watch=_GRADLE_FILES,
    ),
    _Framework(
        r"io\.quarkus", f"gradle quarkusDev {_QUARKUS}", wrapper="gradlew", build="gradle classes", watch=_GRADLE_FILES,
    ),
)  # fmt: skip
_PHP = r"<\?(?:php|=)(?!\s*//\s*Silence is golden)"
_FRAMEWORKS: dict[str, tuple[_Framework, ...]] = {
    "artisan": (
        _Framework("Laravel|Illuminate", "php artisan serve --port={port}", migrate="php artisan migrate --force"),
    ),
    "bin/rails": (_Framework("rails", "bin/rails server -p {port}", migrate="bin/rails db:prepare"),),
    "config.ru": (_Framework("", "rackup -p {port}", bundled=True),),
    "app.rb": (_Framework(r"(?m)^\s*require ['\"]sinatra['\"]", "ruby app.rb -p {port}", bundled=True),),
    "mix.exs": (
        _Framework(
            r":phoenix\b", "mix phx.server", migrate="mix ecto.migrate",
            note="its port is the variable PORT if config/dev.exs or config/runtime.exs reads that",
        ),
        _Framework(
            r":(?:bandit|plug_cowboy|cowboy)\b", "mix run --no-halt",
            note="its port is the variable PORT if it reads that; else the port that it opens is found",
        ),
    ),
    "pom.xml": (
        _Framework(
            "spring-boot-maven-plugin", f"mvn -q spring-boot:run -Dspring-boot.run.arguments={_SPRING_PORT}",
            build="mvn -q compile", watch=("pom.xml",), wrapper="mvnw",
        ),
        _Framework(
            "quarkus-maven-plugin", f"mvn -q quarkus:dev {_QUARKUS}", build="mvn -q compile", watch=("pom.xml",),
            wrapper="mvnw",
        ),
    ),
    "build.gradle": _GRADLE,
    "build.gradle.kts": _GRADLE,
    "*.csproj": (
        _Framework(
            r"Microsoft\.NET\.Sdk\.Web\b", "dotnet run --urls http://127.0.0.1:{port}",
            build="dotnet build", watch=("*.csproj",),
        ),
    ),
    "Cargo.toml": (
        _Framework(
            r"(?m)^(?:\[dependencies\.)?(?:axum|actix-web|rocket|warp|poem|salvo|loco-rs|tide|hyper)\b", "cargo run",
            build="cargo build", watch=("Cargo.toml", "Cargo.lock"),
            note="its port is the variable PORT if it reads that; else the port that it opens is found",
        ),
    ),
    "public/index.php": (_Framework(_PHP, "php -S 127.0.0.1:{port} -t public"),),
    "index.php": (_Framework(_PHP, "php -S 127.0.0.1:{port}"),),
}  # fmt: skip
FILES = tuple(_FRAMEWORKS)
"""The files that show a framework, each with one that is read only if those before it show none."""


def read_framework(text: str, file: str, beside: Collection[str] = ()) -> Found:
    """Return the server of a framework, the job that migrates its database, and the one that builds it.

    Args:
        text: the file that shows it.
        file: its path in the project.
        beside: the names of the files next to it.
    """
    shown = next(name for name in _FRAMEWORKS if fnmatchcase(f"/{file}", f"*/{name}"))
    possible, folder = _FRAMEWORKS[shown], "/".join(file.split("/")[: -1 - shown.count("/")])
    known = next((each for each in possible if re.search(each.sign, text) is not None), None)
    if known is None:
        return Found()
    if file.endswith("Cargo.toml") and "src" not in beside:  # a workspace, or a library's
        return Found()

    def line(command: str) -> str:
        program, _, rest = command.partition(" ")
        if known.bundled and "Gemfile" in beside:
            return f"bundle exec {command}"
        return f"./{known.wrapper} {rest}" if known.wrapper and known.wrapper in beside else f"{program} {rest}"

    services: list[FoundService] = []
    needs: dict[str, str] = {}
    if known.build:
        watch = tuple(each for each in known.watch if each in beside or not each.endswith(".lock"))  # which it writes
        build = named_in(folder, "build")
        services.append(job(build, line(known.build), file, watch=watch))
        needs[build] = "completed"
    if known.migrate:
        name = named_in(folder, "migrate")
        services.append(job(name, line(known.migrate), file, enabled=False, notes=waits(folder), depends_on=needs))
    notes = (known.note,) if known.note else ()
    services.append(
        shell_service(named_in(folder, "web"), line(known.serve), file, port=0, depends_on=needs, notes=notes)
    )
    return Found(tuple(services))


def read_deno(content: JsonObject, file: str) -> Found:
    """Return the task of a `deno.json` that serves.

    Args:
        content: the file.
        file: its path in the project.
    """
    tasks = as_object(content.get("tasks"))
    name = next((name for name in ("dev", "start", "serve") if name in tasks), "")
    if not name:
        return noted_tasks(file, "deno task", tasks)
    run, task = f"deno task {name}", tasks[name]
    line = str(as_object(task).get("command") or "") if isinstance(task, dict) else str(task)
    command, port = run_with_own_port(run, line), port_of(line) or 0
    kept = "" if command or not port else script_port_note(port)
    return Found(
        (
            shell_service(
                "web", command or run, f"{file}, task {name}", port=port if kept else 0, had_port=0 if kept else port,
                kept=kept,
            ),
        )
    )  # fmt: skip


def read_composer(content: JsonObject, file: str) -> Found:
    """Return a note with the scripts of a `composer.json` that may start something."""
    return noted_tasks(file, "composer run", as_object(content.get("scripts")))


_TASKS = {
    "uv run poe": ("poe", "tasks"), "pdm run": ("pdm", "scripts"), "hatch run": ("hatch", "envs", "default", "scripts"),
    "task": ("taskipy", "tasks"), "pixi run": ("pixi", "tasks"), "rye run": ("rye", "scripts"),
}  # fmt: skip
"""Programs that run tasks of a `pyproject.toml`, and the table of these below `tool`."""


def read_pyproject(text: str, file: str) -> Found:
    """Return a note with the tasks that may start something.

    Raises:
        UnreadableSourceError: it is not TOML.
    """
    tool = as_object(read_toml(text).get("tool"))
    for program, keys in _TASKS.items():
        table: JsonObject = tool
        for key in keys:
            table = as_object(table.get(key))
        if (found := noted_tasks(file, program, table)) != Found():
            return found
    return Found()


def unread_notes(names: Collection[str]) -> tuple[str, ...]:
    """Return a note for each file in a folder that belongs to a tool that starts services, and is not read."""
    return tuple(
        f"{name} is not read: run '{command}' as a service of class command, or list here what it starts"
        for name, command in UNREAD.items()
        if name in names
    )
