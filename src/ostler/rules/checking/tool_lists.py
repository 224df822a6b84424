"""What is known about the tools of downstream servers: as they list them now, or as a list was saved."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, Literal, TypeAlias, cast

from msgspec import Struct

from ostler.model.errors import DefinitionError
from ostler.model.json import JsonMapping, JsonObject, JsonValue, as_list, as_objects, parse_json
from ostler.model.responses import ToolResponse
from ostler.model.tool_names import ToolNames
from ostler.rules.answers.responses import normalise
from ostler.rules.checking.schemas import shape_of_sample, shape_of_schema
from ostler.rules.checking.shapes import ANY, Shape, union

Source: TypeAlias = Literal["live", "saved"]


class ToolSchema(Struct, frozen=True, dict=True):
    """One tool as its server lists it, and what it answered when that was recorded.

    Attributes:
        name: its name on the server.
        input_schema: JSON Schema of its arguments.
        output_schema: JSON Schema of its structured content, if it has one.
        annotations: what the server says about its effect.
        samples: recorded answers that were not failures.
    """

    name: str
    input_schema: JsonMapping
    output_schema: JsonMapping | None = None
    annotations: JsonMapping = {}
    samples: tuple[ToolResponse, ...] = ()

    @cached_property
    def answer(self) -> Shape:
        """The shape of its answer's value: by its output schema, else like the recorded answers, else anything."""
        if self.output_schema is not None:
            return shape_of_schema(self.output_schema)
        return union(shape_of_sample(sample.value) for sample in self.samples) if self.samples else ANY

    @property
    def parameters(self) -> list[str]:
        """The names of its arguments, if the schema lists them."""
        listed = self.input_schema.get("properties")
        return list(cast("JsonMapping", listed)) if isinstance(listed, Mapping) else []

    @property
    def has_choice(self) -> bool:
        """Whether one of its arguments chooses among things to do, so that its effect is not always the same."""
        listed = self.input_schema.get("properties")
        schemas = cast("JsonMapping", listed).values() if isinstance(listed, Mapping) else ()
        return any(isinstance(schema, Mapping) and "enum" in schema for schema in schemas)

    def says(self, hint: str) -> bool:
        """Whether the server itself marked the tool so (`readOnlyHint`, `destructiveHint`)."""
        return self.annotations.get(hint) is True


class ToolList(Struct, frozen=True):
    """The tools of one downstream server.

    Attributes:
        server: the server's name in manifests.
        tools: by name.
        source: `live` when the server itself has just listed them.
        version: the server's version, if known.
    """

    server: str
    tools: Mapping[str, ToolSchema]
    source: Source = "saved"
    version: str = ""


class ListsOnDemand(Mapping[str, ToolList]):
    """Tools lists by server, each read at its first use: 25 are shipped, and most checks need one.

    Attributes:
        makers: return the list of a server, or None if it cannot be read.
    """

    def __init__(self, makers: Mapping[str, Callable[[], ToolList | None]]) -> None:
        self.makers = makers
        self._made: dict[str, ToolList | None] = {}

    def __getitem__(self, server: str) -> ToolList:
        if server not in self._made:
            self._made[server] = self.makers[server]()
        made = self._made[server]
        if made is None:
            raise KeyError(server)
        return made

    def __iter__(self) -> Iterator[str]:
        return (server for server in self.makers if server in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"ListsOnDemand({len(self._made)} of {len(self.makers)} made)"


class KnownTools(Struct, frozen=True):
    """Everything that a check knows about downstream servers.

    Attributes:
        lists: the tools lists, by server.
        servers: the names of servers that are configured, listed or not.
    """

    lists: Mapping[str, ToolList] = {}
    servers: frozenset[str] = frozenset()

    def of(self, server: str) -> ToolList | None:
        """Return the tools list of `server`, or None when it is not known."""
        return self.lists.get(server)

    @property
    def server_names(self) -> list[str]:
        """Every server that is known by name."""
        return sorted({*self.lists, *self.servers})

    @property
    def names(self) -> ToolNames:
        """The servers, and the names of the tools that they list."""
        return self.names_of(self.server_names)

    def names_of(self, servers: Iterable[str]) -> ToolNames:
        """Return `servers`, and the names of the tools of those whose list is known."""
        named = frozenset(servers)
        return ToolNames(named, {name: frozenset(self.lists[name].tools) for name in named & self.lists.keys()})

    def with_answers(self, answers: Mapping[str, Sequence[ToolResponse]]) -> "KnownTools":
        """Return these with answers, by `server/tool`, put to the tools that have no output schema."""
        by_server: dict[str, dict[str, Sequence[ToolResponse]]] = {}
        for tool, found in answers.items():
            server, _, name = tool.partition("/")
            by_server.setdefault(server, {})[name] = found
        lists = {
            server: with_samples(listed, by_server[server]) if server in by_server else listed
            for server, listed in self.lists.items()
        }
        return KnownTools(lists, self.servers)

    def over(self, others: "KnownTools") -> "KnownTools":
        """Return these with those of `others` for the servers that are not among them, and with recorded answers.

        An answer that was recorded of a tool still counts when the server lists the tool with the same arguments.
        """

        def merged(server: str) -> ToolList | None:
            listed, saved = self.of(server), others.of(server)
            return _remembering(listed, saved) if listed is not None and saved is not None else listed or saved

        servers = dict.fromkeys([*_servers_of(others.lists), *_servers_of(self.lists)])
        lists = ListsOnDemand({server: partial(merged, server) for server in servers})
        return KnownTools(lists, self.servers | others.servers)


def tool_list_from_json(text: str, server: str, file: str = "<tools>") -> ToolList:
    """Return the saved tools list in `text`: the answer of `tools/list`, or the file that `ostler tools save` wrote.

    Args:
        text: JSON: `{"tools": [{"name", "inputSchema", …}], "samples": [{"tool", "result"}]}`; samples may be absent.
        server: what manifests call the server.
        file: the name that errors carry.

    Raises:
        DefinitionError: it is not such a list.
    """
    try:
        value: JsonValue = parse_json(text)
    except ValueError as error:
        raise _not_a_list(file, f"it is not JSON ({error})") from None
    if isinstance(value, Mapping) and isinstance(cast("JsonMapping", value).get("result"), Mapping):
        value = cast("JsonMapping", value)["result"]  # the whole JSON-RPC answer of tools/list
    if not isinstance(value, Mapping) or not isinstance(cast("JsonMapping", value).get("tools"), list):
        raise _not_a_list(file, "it has no list 'tools'")
    whole = cast("JsonMapping", value)
    samples = samples_by_tool(whole.get("samples"))
    tools: dict[str, ToolSchema] = {}
    for item in cast("list[JsonValue]", whole["tools"]):
        tool = _tool(item, samples)
        if tool is None:
            raise _not_a_list(file, f"a tool needs 'name' and 'inputSchema': {str(item)[:80]}")
        tools[tool.name] = tool
    about = whole.get("server")
    version = str(cast("JsonMapping", about).get("version", "")) if isinstance(about, Mapping) else ""
    return ToolList(server, tools, version=version)


def with_samples(tools: ToolList, samples: Mapping[str, Sequence[ToolResponse]]) -> ToolList:
    """Return the list with recorded answers put to its tools."""
    return ToolList(
        tools.server,
        {
            name: ToolSchema(
                name, tool.input_schema, tool.output_schema, tool.annotations, (*tool.samples, *samples.get(name, ()))
            )
            for name, tool in tools.tools.items()
        },
        tools.source,
        tools.version,
    )


def _servers_of(lists: Mapping[str, ToolList]) -> Iterable[str]:
    return lists.makers if isinstance(lists, ListsOnDemand) else lists


def _remembering(listed: ToolList, saved: ToolList) -> ToolList:
    """Return a list with the answers that were recorded of its tools as `saved` has them."""
    found: dict[str, tuple[ToolResponse, ...]] = {}
    for name, tool in listed.tools.items():
        known = saved.tools.get(name)
        if known is not None and not tool.samples and known.input_schema == tool.input_schema:
            found[name] = known.samples
    return with_samples(listed, found)


def samples_by_tool(value: JsonValue) -> dict[str, list[ToolResponse]]:
    """Return recorded calls (`[{"tool": …, "result": {"content": …}}]`) as answers; failed ones are left out."""
    found: dict[str, list[ToolResponse]] = {}
    for item in as_list(value):
        if not isinstance(item, Mapping):
            continue
        call = cast("JsonMapping", item)
        result: Any = call.get("result")
        if not isinstance(result, Mapping) or not isinstance(call.get("tool"), str):
            continue
        answer = cast("JsonObject", result)
        if answer.get("isError"):
            continue
        blocks = as_objects(answer.get("content"))
        found.setdefault(call["tool"], []).append(normalise(blocks, answer.get("structuredContent")))
    return found


def tool_schema(
    name: str,
    input_schema: JsonMapping,
    output_schema: JsonMapping | None = None,
    annotations: JsonMapping | None = None,
) -> ToolSchema:
    """Return a tool as a live server lists it."""
    return ToolSchema(name, input_schema, output_schema, annotations or {})


def live_list(server: str, tools: Iterable[ToolSchema]) -> ToolList:
    """Return the list that `server` gave just now."""
    return ToolList(server, {tool.name: tool for tool in tools}, source="live")


def _tool(item: JsonValue, samples: Mapping[str, Sequence[ToolResponse]]) -> ToolSchema | None:
    if not isinstance(item, Mapping):
        return None
    tool = cast("JsonMapping", item)
    name, schema = tool.get("name"), tool.get("inputSchema")
    if not isinstance(name, str) or not isinstance(schema, Mapping):
        return None
    output, annotations = tool.get("outputSchema"), tool.get("annotations")
    return ToolSchema(
        name,
        cast("JsonMapping", schema),
        cast("JsonMapping", output) if isinstance(output, Mapping) else None,
        cast("JsonMapping", annotations) if isinstance(annotations, Mapping) else {},
        tuple(samples.get(name, ())),
    )


def _not_a_list(file: str, reason: str) -> DefinitionError:
    return DefinitionError(
        f"{file!r} is not a saved tools list: {reason}",
        next_actions=("save one with 'ostler tools save SERVER'", "or give the answer of tools/list as it came"),
    )


def saved_text(about: JsonMapping, tools: Sequence[JsonMapping]) -> str:
    """Return the text of a saved tools list, a tool a line, so that changes of a server can be read as a diff.

    Args:
        about: what else to write down: `server`, `protocol`, `capabilities`.
        tools: the tools as `tools/list` gives them.
    """
    head = [f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}," for key, value in about.items()]
    body = ",\n".join(f"  {json.dumps(tool, ensure_ascii=False)}" for tool in tools)
    return "\n".join(["{", *head, ' "tools": [', body, " ]", "}", ""])
