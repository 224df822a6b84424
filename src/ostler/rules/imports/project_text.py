"""From what was found to the text of an `ostler.yaml`, each service with its origin in a comment."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ostler.rules.imports.found import Found, FoundService
from ostler.rules.text.manifest_text import flow, scalar, wrapped


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
    names: dict[str, FoundService] = {}
    runs: set[tuple[str, str]] = set()
    for service in (service for each in found for service in each.services):
        run = (str(service.args.get("command", service.name)), str(service.args.get("directory", service.class_name)))
        if run in runs:
            continue
        runs.add(run)
        called, count = service.name, 2
        while called in names:
            called, count = f"{service.name}-{count}", count + 1
        names[called] = service
        yield replace(service, name=called)


def _plain(text: str) -> str:
    """Return `text` as a comment can have it: on one line, printable."""
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
    if not service.enabled:
        yield "    enabled: false"
