"""Write the parts of docs/*.md that repeat what the code says: `python docs/generate.py`.

Each part stands between `<!-- generated: NAME -->` and `<!-- end -->`. tests/test_docs.py fails when one is stale.
"""

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import anyio
import yaml

from ostler.adapters.config.class_files import class_files_in
from ostler.adapters.config.dialects.clients import ANY, CLIENTS
from ostler.adapters.config.dialects.entry_places import PLACES
from ostler.adapters.config.dialects.key_rows import Key
from ostler.adapters.config.dialects.keys import KEYS
from ostler.adapters.config.dialects.locations import LOCATIONS
from ostler.adapters.config.dialects.variables import VARIABLES
from ostler.adapters.config.prepared_classes import prepared_text
from ostler.adapters.process import readiness
from ostler.adapters.process.server import listed_tools
from ostler.adapters.telemetry.instruments import METRICS, STANDBY_METRICS
from ostler.adapters.telemetry.span_table import SPANS
from ostler.faces.mcp.definitions import AnyTool
from ostler.faces.mcp.fixed_answers import fixed_answers
from ostler.faces.mcp.resources import TEMPLATES
from ostler.faces.mcp.toolbox import TOOLS
from ostler.model import downstream_errors, errors
from ostler.model.downstream_errors import DownstreamError
from ostler.model.json import JsonObject
from ostler.model.states import TRANSITIONS, HealthStatus, Reachability, ServiceState, Transition
from ostler.rules.checking.tool_lists import saved_text
from ostler.rules.loading.manifest_schema import manifest_json_schema
from ostler.rules.reading import load_manifests
from ostler.rules.text.rule_table import RULES

DOCS = Path(__file__).resolve().parent
_PART = re.compile(r"(<!-- generated: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def rendered(text: str) -> str:
    """Return `text` with every generated part as the code says now.

    Raises:
        KeyError: a part has a name that PARTS does not know.
    """
    return _PART.sub(lambda part: f"{part[1]}\n{PARTS[part['name']]()}\n\n{part[3]}", text)


def table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def transition_table() -> str:
    """Every fact, the states in which it may happen, and the state that follows."""

    def rows() -> Iterator[Sequence[str]]:
        for transition in Transition:
            sources = {source: target for (source, fact), target in TRANSITIONS.items() if fact is transition}
            for target in dict.fromkeys(sources.values()):
                names = ", ".join(f"`{source.value}`" for source in ServiceState if sources.get(source) is target)
                yield f"`{transition.value}`", names, f"`{target.value}`"

    return table(["what happens", "in state", "next state"], rows())


def transition_diagram(states: Sequence[ServiceState]) -> str:
    """The changes between `states`, as a Mermaid state diagram; facts that lead the same way share an arrow."""
    arrows: dict[tuple[ServiceState, ServiceState], list[str]] = {}
    for (source, fact), target in TRANSITIONS.items():
        if source in states and target in states and source is not target:
            arrows.setdefault((source, target), []).append(fact.value)
    lines = ["```mermaid", "stateDiagram-v2"]
    for (source, target), facts in sorted(arrows.items(), key=lambda arrow: [states.index(end) for end in arrow[0]]):
        lines.append(f"    {source.value} --> {target.value}: {', '.join(facts)}")
    return "\n".join([*lines, "```"])


def lifecycle_diagram() -> str:
    """The everyday part of the machine: what a service instance goes through."""
    s = ServiceState
    return transition_diagram([s.STOPPED, s.WAITING, s.STARTING, s.RUNNING, s.STOPPING, s.FAILED, s.RETRYING])


def connection_diagram() -> str:
    """What a downstream server goes through."""
    s = ServiceState
    return transition_diagram([s.STARTING, s.CONNECTED, s.DISCONNECTED, s.UNREACHABLE, s.AUTH_REQUIRED])


def client_names(ids: frozenset[str]) -> str:
    """The clients' names."""
    return "most clients" if ids == ANY else ", ".join(name for client, name in CLIENTS.items() if client in ids)


def client_keys() -> str:
    """Every key of an entry, whose it is, what it means there, and what Ostler does."""

    def does(key: Key) -> str:
        if key.outcome in ("taken", "limit obeyed") and key.becomes:
            body = json.dumps(key.becomes, ensure_ascii=False)[1:-1]
            return f"{key.outcome}: `{json.dumps(key.example, ensure_ascii=False)}` becomes `{body}`"
        return key.outcome

    ordered = sorted(KEYS, key=lambda key: (key.name.lower().replace("_", ""), key.clients == ANY))
    rows = ((f"`{key.name}`", client_names(key.clients), key.meaning, does(key)) for key in ordered)
    return table(["key", "clients", "meaning there", "what Ostler does"], rows)


def client_variables() -> str:
    """Every form of a variable."""
    rows = ((f"`{row.form}`", client_names(row.clients), row.meaning, row.does) for row in VARIABLES)
    return table(["form", "clients", "meaning there", "what Ostler does"], rows)


def client_places() -> str:
    """Where entries are."""
    shared = max((clients for _, clients in PLACES), key=len)
    rows = (
        (f"`{' → '.join(map(str, path))}`", "the other clients" if clients == shared else client_names(clients))
        for path, clients in PLACES
    )
    return table(["place", "clients"], rows)


def client_files() -> str:
    """Where each client's files are, by the id that commands take."""

    def written(paths: Iterable[str]) -> str:
        folders = {
            "{config}": "CONFIG", "{data}": "DATA", "{local}": "LOCAL", "{managed}": "MANAGED", "{hash}": "HASH",
            "{here}": "HERE",
        }  # fmt: skip
        shown = [re.sub(r"\{(\w+)\}", lambda one: folders.get(one[0], f"${one[1]}"), path) for path in paths if path]
        whole = ("$", "./", *folders.values())
        return ", ".join(f"`{path if path.startswith(whole) else f'~/{path}'}`" for path in shown)

    def rows() -> Iterator[Sequence[str]]:
        for location in LOCATIONS:
            own = written((*location.paths, *location.further))
            of_project = (location.project, *location.project_further, *location.shared)
            project = ", ".join(f"`{path}`" for path in of_project if path)
            limits = [
                written((*location.limits, *location.overrides, *(f"{{managed}}/{name}" for name in location.managed)))
            ]
            of_project = (*location.project_limits, *location.project_overrides)
            limits += [f"`{path}`" for path in of_project if path not in location.limits]
            yield f"`{location.client}`", location.label, own, project, ", ".join(filter(None, limits))

    return table(["id", "client", "files of the user", "files of a project", "files that limit servers"], rows())


def state_list() -> str:
    """The values of the enumerations that tools answer with."""
    kinds = (("state", ServiceState), ("health", HealthStatus), ("reachability", Reachability))
    return table(["key", "values"], ((f"`{key}`", ", ".join(f"`{v.value}`" for v in kind)) for key, kind in kinds))


def error_classes() -> list[type[errors.OstlerError]]:
    """Return the error classes that have codes, in the order of their modules."""
    return [
        item
        for module in (errors, downstream_errors, readiness)
        for item in vars(module).values()
        if inspect.isclass(item) and issubclass(item, errors.OstlerError) and item.__module__ == module.__name__
        if item is not errors.OstlerError
    ]


def error_table() -> str:
    """Every error: its code, its class, whether the same request may work later, and what it means."""

    def rows() -> Iterator[Sequence[str]]:
        for item in error_classes():
            meaning = (inspect.getdoc(item) or "").split("\n\n")[0].replace("\n", " ")
            yield f"`{item.code}`", f"`{item.__name__}`", "yes" if item.retryable else "no", meaning

    return table(["code", "class", "retryable", "meaning"], rows())


def delivery_table() -> str:
    """What `delivery` of a downstream error says."""

    def rows() -> Iterator[Sequence[str]]:
        for item in error_classes():
            if issubclass(item, DownstreamError) and item is not DownstreamError:
                yield f"`{item.code}`", f"`{item.delivery.value}`"

    return table(["code", "delivery"], rows())


def tool_table() -> str:
    """Every tool with what it does; those of the core toolset are marked."""

    def rows() -> Iterator[Sequence[str]]:
        for tool in TOOLS:
            link = f"[`{tool.name}`](#{tool.name})"
            yield link, tool.description, tool.effect.words, "yes" if tool.core else ""

    return table(["tool", "does", "effect", "core"], rows())


def tool_sections() -> str:
    """The arguments and the answer of every tool."""
    return "\n\n".join(_tool_section(tool) for tool in TOOLS)


def _tool_section(tool: AnyTool) -> str:
    shown = tool.tool()
    properties: dict[str, JsonObject] = shown.input_schema.get("properties", {})
    required = shown.input_schema.get("required", [])

    def rows() -> Iterator[Sequence[str]]:
        for name, schema in properties.items():
            default = f"`{json.dumps(schema['default'])}`" if "default" in schema else ""
            meaning = str(schema.get("description", ""))
            yield f"`{name}`", _type_of(schema), "required" if name in required else default, meaning

    answer = ", ".join(f"`{key}`" for key in (shown.output_schema or {}).get("properties", {}))
    arguments = table(["argument", "type", "default", "meaning"], rows()) if properties else "No arguments."
    return f"### {tool.name}\n\n{tool.description}\n\n{arguments}\n\nAnswers with: {answer}."


def resource_table() -> str:
    """Every resource template."""
    return table(["address", "shows", "type"], ((f"`{uri}`", shows, kind) for uri, _, shows, kind in TEMPLATES))


def rule_table() -> str:
    """Every rule that classes are checked against."""

    def rows() -> Iterator[Sequence[str]]:
        for rule in RULES.values():
            yield f"[`{rule.id}`](#{rule.id})", rule.severity, rule.stage, rule.summary

    return table(["rule", "severity", "kind", "says that"], rows())


def span_table() -> str:
    """Every span, who emits it, and its attributes."""
    rows = ((f"`{one.name}`", one.kind, one.scope, one.meaning, _codes(one.attributes)) for one in SPANS)
    return table(("span", "kind", "scope", "what it is", "attributes"), rows)


def metric_table() -> str:
    """Every metric and its attributes."""
    every = (*METRICS, *STANDBY_METRICS)
    rows = ((f"`{one.name}`", one.kind, f"`{one.unit}`", one.meaning, _codes(one.attributes)) for one in every)
    return table(("metric", "instrument", "unit", "what it is", "attributes"), rows)


def _codes(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def muster_cases() -> str:
    """What clients of muster send in the cases that tests run: each with the tools that it calls."""
    cases = yaml.safe_load((DOCS.parent / "tests" / "faces" / "muster_cases.yaml").read_text(encoding="utf-8"))["cases"]

    def rows() -> Iterator[Sequence[str]]:
        for name, steps in cases.items():
            yield name, ", ".join(f"`{tool}`" for tool in dict.fromkeys(step["call"] for step in steps))

    return table(["case", "calls"], rows())


def muster_documents() -> str:
    """The documents of muster that tests load: what is special about each, and what becomes of it."""
    file = yaml.safe_load((DOCS.parent / "tests" / "data" / "muster_documents.yaml").read_text(encoding="utf-8"))

    def rows() -> Iterator[Sequence[str]]:
        for document in file["documents"].values():
            runs = (
                f"; a create is refused: {document['refused']}" if "refused" in document else "; a service of it runs"
            )
            loaded = f"loaded{runs if 'args' in document else ''}"
            here = f"not loaded: {document['wrong']}" if "wrong" in document else loaded
            yield document["about"], document["muster"], here

    return table(["document", "in muster", "here"], rows())


def class_table() -> str:
    """Every shipped class: what it does, how far it has been run, its arguments.

    Raises:
        KeyError: a shipped class is missing in RUNS.
    """

    def rows() -> Iterator[Sequence[str]]:
        for path in class_files_in(DOCS.parent / "serviceclasses"):
            for loaded in load_manifests(path.read_text(encoding="utf-8"), path.name):
                spec = loaded.service_class.spec
                name = loaded.service_class.name
                does = re.split(r"(?<=[^.\s])[.:](?:\s|$)", " ".join(spec.description.split()), maxsplit=1)[0]
                yield f"`{name}`", does, RUNS[name], ", ".join(f"`{arg}`" for arg in spec.args)

    return table(["class", "what it does", "tested", "arguments"], rows())


RUNS: dict[str, str] = {
    "browser": "for real: Chromium, without a window",
    "browserbase-session": "scripted, from the server's source",
    "command": "for real",
    "desktop-commander-process": "for real",
    "dev-server": "for real",
    "docker-postgresql": "scripted, recorded from the server",
    "docker-redis": "scripted, recorded from the server",
    "e2b-sandbox": "scripted, from the server's source",
    "job": "for real",
    "jupyter": "for real: the bare Jupyter Server",
    "kubernetes-port-forward": "scripted, from the server's source",
    "neon-branch": "scripted, from the server's source",
    "playwright-browser": "for real: Chromium, without a window",
    "podman-container": "scripted, recorded from the server",
    "portless": "for real: portless 0.15",
    "postgresql": "for real: PostgreSQL 15",
    "postgresql-database": "for real: PostgreSQL 15",
    "redis-database": "for real: Redis 7",
    "program": "for real: uvicorn; others [by hand](programs.md#by-name-alone)",
    "redis": "for real: Redis 7",
    "sqlite-demo": "for real",
    "ssh-tunnel": "for real: OpenSSH's sshd",
    "static-web-server": "for real",
    "supabase-branch": "for real: the MCP server, over a stand-in for Supabase's API",
}
"""How far the tests run each shipped class: see docs/classes.md for what the words mean."""


def _type_of(schema: JsonObject) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_type_of(choice) for choice in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type_of(schema.get('items', {}))}"
    kind = schema.get("type", "any")
    return kind if isinstance(kind, str) else " or ".join(kind)


PARTS: dict[str, Callable[[], str]] = {
    "states": state_list,
    "transitions": transition_table,
    "lifecycle-diagram": lifecycle_diagram,
    "connection-diagram": connection_diagram,
    "errors": error_table,
    "deliveries": delivery_table,
    "tools": tool_table,
    "tool-arguments": tool_sections,
    "resources": resource_table,
    "rules": rule_table,
    "spans": span_table,
    "metrics": metric_table,
    "client-keys": client_keys,
    "client-variables": client_variables,
    "client-places": client_places,
    "client-files": client_files,
    "classes": class_table,
    "muster-cases": muster_cases,
    "muster-documents": muster_documents,
}


def process_tools() -> str:
    """The saved tools list of the built-in server, which `ostler check --offline` uses."""
    tools = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in listed_tools()]
    return saved_text({"server": {"name": "process"}}, tools)


def own_tools() -> str:
    """The saved list of Ostler's own tools, which classes may call as `ostler/TOOL`."""
    tools = [tool.tool().model_dump(mode="json", by_alias=True, exclude_none=True) for tool in TOOLS]
    return saved_text({"server": {"name": "ostler"}}, tools)


def prepared_classes() -> str:
    """The shipped classes without their YAML, which a first start reads."""
    files = class_files_in(DOCS.parent / "serviceclasses")
    return prepared_text(load_manifests(file.read_text(encoding="utf-8"), str(file))[0] for file in files)


SECTIONS = {
    "The manifest": "ServiceClass",
    "metadata": "Metadata",
    "spec": "ServiceClassSpec",
    "spec.args.NAME": "ArgSpec",
    "spec.serviceConfig": "ServiceConfig",
    "lifecycleTools": "LifecycleTools",
    "A tool call": "ToolCallSpec",
    "The ready check": "ReadySpec",
    "The stop call": "StopSpec",
    "The stopped check": "StoppedSpec",
    "retry": "RetrySpec",
    "batch": "BatchSpec",
    "healthCheck": "HealthCheckSpec",
    "timeout": "TimeoutSpec",
    "idleStop": "IdleStopSpec",
    "leftovers": "LeftoversSpec",
    "restartPolicy": "RestartPolicySpec",
    "restartPolicy.backoff": "BackoffSpec",
    "dependencies": "DependencySpec",
    "An output": "OutputSpec",
    "An expectation": "Expectation",
}
"""The sections of serviceclass.md and the models that their tables describe."""

CALLS = ("ReadySpec", "StopSpec", "StoppedSpec")
"""Tool calls with keys of their own; the rest is described under "A tool call"."""


def manifest_schema() -> str:
    """The JSON Schema of a manifest for editors, with what serviceclass.md says of each key."""
    page = (DOCS / "serviceclass.md").read_text(encoding="utf-8")
    schema = manifest_json_schema()
    for heading, model in SECTIONS.items():
        section = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", page, re.DOTALL | re.MULTILINE)
        assert section, heading
        node: JsonObject = schema if model == "ServiceClass" else schema["$defs"][model]
        base = schema["$defs"]["ToolCallSpec"]["properties"] if model in CALLS else {}
        for key, field in node["properties"].items():
            field.pop("title", None)
            row = re.search(rf"^\| `{key}` \|.*\| (.*?) \|$", section[1], re.MULTILINE)
            if row:
                field["description"] = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", row[1]).replace("`", "'")
            elif key in base:
                field["description"] = base[key]["description"]
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def bridge_answers() -> str:
    """What the server says at every start, from the server itself: over nothing, since no service changes it."""
    return json.dumps(anyio.run(fixed_answers), indent=1, ensure_ascii=False) + "\n"


FILES: dict[Path, Callable[[], str]] = {
    DOCS.parent / "src" / "ostler" / "faces" / "bridge" / "answers.json": bridge_answers,
    DOCS.parent / "serviceclasses" / "tools" / "process.json": process_tools,
    DOCS.parent / "serviceclasses" / "tools" / "ostler.json": own_tools,
    DOCS.parent / "serviceclasses" / "schema" / "serviceclass.json": manifest_schema,
    DOCS.parent / "serviceclasses" / "prepared" / "classes.json": prepared_classes,
}
"""Files that are generated as a whole."""


def main() -> int:
    """Rewrite the stale files and name them."""
    for path, make in FILES.items():
        made = make()
        if not path.exists() or path.read_text(encoding="utf-8") != made:
            path.parent.mkdir(exist_ok=True)
            path.write_text(made, encoding="utf-8")
            print(f"wrote {path.name}")
    for path in sorted(DOCS.glob("*.md")):
        old = path.read_text(encoding="utf-8")
        new = rendered(old)
        if new != old:
            path.write_text(new, encoding="utf-8")
            print(f"wrote {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
