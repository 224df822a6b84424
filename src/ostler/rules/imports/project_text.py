"""The text of an `ostler.yaml` from the services that were found, each with its origin in a comment."""

import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from ostler.rules.imports.found import Found, FoundService, outputs_of
from ostler.rules.text.manifest_text import flow, scalar, wrapped

_OUTPUTS = re.compile(r"services(?:\.|\[')([a-z0-9-]+)(?:'\])?\.outputs")


def project_text(name: str, found: Sequence[Found]) -> str:
    """Return an `ostler.yaml` with the services of `found`; earlier files go before later ones.

    A service that runs the same command in the same folder as an earlier one is the same; one that only has its name
    gets a number.
    """
    services = list(_distinct(found))
    known = {service.name for service in services}
    lines = [
        "apiVersion: ostler/v1",
        "kind: Project",
        f"name: {scalar(name)}",
        "services:" if services else "services: {}",
    ]
    for service in services:
        lines += _lines(service, known)
    notes = [note for each in found for note in each.notes]
    if notes:
        lines += ["", "# Not converted:", *wrapped([f"#   {_plain(note)}" for note in notes])]
    return "\n".join(lines) + "\n"


def _distinct(found: Sequence[Found]) -> Iterator[FoundService]:
    runs: dict[tuple[str, str], str] = {}
    for each in found:
        called: dict[str, str] = {}
        fresh: list[tuple[str, FoundService]] = []
        for service in each.services:
            command = service.args.get("command", service.name)
            run = (str(command), str(service.args.get("directory", service.class_name)))
            if run not in runs:
                names, count = {*runs.values()}, 2
                runs[run] = service.name
                while runs[run] in names:
                    runs[run], count = f"{service.name}-{count}", count + 1
                fresh.append((runs[run], service))
            called.setdefault(service.name, runs[run])
        yield from (_renamed(service, name, called) for name, service in fresh)


def _renamed(service: FoundService, name: str, called: Mapping[str, str]) -> FoundService:
    """Return the service as `name`, with the names that the others of its file have in the project."""
    env = {
        key: _OUTPUTS.sub(lambda found: outputs_of(called.get(found[1], found[1])), text)
        for key, text in service.env.items()
    }
    needs = {called.get(name, name): condition for name, condition in service.depends_on.items()}
    return replace(service, name=name, env=env, depends_on=needs)


def _plain(text: str) -> str:
    """Return `text` fit for a comment: on one line, printable."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))


def _lines(service: FoundService, known: set[str]) -> Iterator[str]:
    yield ""
    yield f"  # {_plain(service.origin)}"
    yield from wrapped([f"  # {_plain(note)}" for note in service.notes])
    yield f"  {service.name}:"
    yield f"    class: {service.class_name}"
    if service.args:
        yield "    args:"
        for key, value in service.args.items():
            yield f"      {key}: {flow(value)}"
    if service.env_files:
        yield f"    envFile: {flow(list(service.env_files))}"
    if service.env:
        yield "    env:"
        for key, text in service.env.items():
            yield f"      {key}: {flow(text)}"
    needs = {name: condition for name, condition in service.depends_on.items() if name in known}
    if needs:
        yield f"    dependsOn: {flow(needs)}"
    if service.restart_policy:
        yield f"    restartPolicy: {flow(service.restart_policy)}"
    if service.watch:
        yield f"    watch: {flow(list(service.watch))}"
    if not service.enabled:
        yield "    enabled: false"
