"""Drafts of classes: the pairs found in the tools of real servers, and what is written for them."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from ostler.adapters.config.tool_files import shipped_tools
from ostler.model.errors import DefinitionError
from ostler.model.json import JsonObject
from ostler.model.manifest import ServiceClass
from ostler.rules.answers.expectations import is_like
from ostler.rules.answers.extraction import process_tool_outputs
from ostler.rules.answers.prose import PROSE_GONE
from ostler.rules.answers.queries import search_value
from ostler.rules.answers.responses import normalise
from ostler.rules.checking.tool_lists import KnownTools, live_list, tool_schema
from ostler.rules.drafts.answer_fields import answer_fields
from ostler.rules.drafts.answer_states import ended_entries, list_of_items
from ostler.rules.drafts.data_flow import scalars_in
from ostler.rules.drafts.drafting import draft_class
from ostler.rules.drafts.handles import handle_pattern
from ostler.rules.drafts.lifecycle_pairs import find_pairs
from ostler.rules.drafts.telling_answers import found_output, telling_expectation
from ostler.rules.drafts.tool_traits import Tool
from ostler.rules.reading import check_text, load_manifests
from ostler.rules.text.patterns import search

LISTS = Path(__file__).parents[2] / "serviceclasses" / "tools"

PAIRS: dict[str, list[str]] = {
    "browserbase": ["browserbase_session_create / browserbase_session_close"],
    "chrome-devtools": [
        "new_page / close_page",
        "performance_start_trace / performance_stop_trace",
        "screencast_start / screencast_stop",
    ],
    "commands": [],
    "dbhub": [],
    "desktop-commander": ["start_process / kill_process"],
    "docker": [
        "run_container / stop_container",
        "start_container / stop_container",
        "create_container / remove_container",
    ],
    "e2b": ["create_sandbox / terminate_sandbox", "connect_sandbox / terminate_sandbox"],
    "everything": [],
    "fetch": [],
    "filesystem": [],
    "git": [],
    "kubernetes-mcp-server": ["pods_run / pods_delete"],
    "manage-bg": ["start / stop"],
    "mcp-server-kubernetes": ["port_forward / stop_port_forward", "install_helm_chart / uninstall_helm_chart"],
    "memory": [],
    "neon": ["create_branch / delete_branch"],
    "playwright": ["browser_tabs(action=new) / browser_tabs(action=close)"],
    "podman": ["container_run / container_stop"],
    "redis": [],
    "sqlite": [],
    "ssh-manager": ["ssh_session_start / ssh_session_close", "ssh_tunnel_create / ssh_tunnel_close"],
    "supabase": ["create_branch / delete_branch"],
    "time": [],
}
"""Server → what starts and stops a thing there, the likeliest first. Looked through by hand."""


def tools_of(server: str) -> list[Tool]:
    listed = json.loads((LISTS / f"{server}.json").read_text(encoding="utf-8"))["tools"]
    return [Tool.of(tool) for tool in listed]


@pytest.mark.parametrize("server", PAIRS)
def test_the_pairs_of_real_servers(server: str) -> None:
    assert [str(pair) for pair in find_pairs(tools_of(server))] == PAIRS[server]


@pytest.mark.parametrize(
    ("server", "start", "views"),
    [
        ("manage-bg", "start", ("get_info", "list", "get_logs", "processId")),
        ("podman", "container_run", ("container_inspect", "container_list", "container_logs", "name")),
        ("e2b", "create_sandbox", ("get_sandbox", "list_sandboxes", "list_sandbox_logs", "sandboxID")),
        ("kubernetes-mcp-server", "pods_run", ("pods_get", "pods_list", "pods_log", "name")),
        ("ssh-manager", "ssh_tunnel_create", ("None", "ssh_tunnel_list", "None", "tunnelId")),
        ("neon", "create_branch", ("describe_branch", "None", "None", "branchId")),
        ("desktop-commander", "start_process", ("None", "list_processes", "read_process_output", "pid")),
    ],
)
def test_what_else_shows_the_thing(server: str, start: str, views: tuple[str, ...]) -> None:
    pair = next(pair for pair in find_pairs(tools_of(server)) if str(pair.start) == start)
    assert (str(pair.status), str(pair.listing), str(pair.logs), pair.handle) == views


@pytest.mark.parametrize(
    ("server", "start"), [(server, pair.partition(" / ")[0]) for server, pairs in PAIRS.items() for pair in pairs]
)
def test_every_draft_is_a_class_without_a_finding(server: str, start: str) -> None:
    draft = draft_class(server, tools_of(server), start=start)
    [loaded] = load_manifests(draft.manifest, "draft")
    assert loaded.warnings == ()
    assert loaded.service_class.tools.start.tool == f"{server}/{start.partition('(')[0]}"
    assert loaded.service_class.config.on_unknown == "hold"
    for number, question in enumerate(draft.questions, 1):
        assert f"#   {number}. {question[:40]}" in draft.manifest
        assert f"ASK {number}" in draft.manifest


def test_every_draft_passes_the_check_against_the_tools_it_was_made_from() -> None:
    known = shipped_tools()
    assert set(PAIRS) | {"ostler", "process"} == set(known.lists)
    for server, pairs in PAIRS.items():
        for start, _, stop in (pair.partition(" / ") for pair in pairs):
            manifest = draft_class(server, tools_of(server), start=start, stop=stop).manifest
            result = check_text(manifest, f"{server} {start}", known)
            # What a good answer says is not in a tools list: that it is asked for is no fault of the draft.
            assert [finding for finding in result.findings if finding.rule != "unjudged-start"] == []
            assert len(result.classes) == 1


@pytest.mark.parametrize("server", ["ostler", "process"])
def test_drafts_from_the_servers_that_are_built_in_pass_the_check(server: str) -> None:
    for pair in find_pairs(tools_of(server)):
        manifest = draft_class(server, tools_of(server), start=str(pair.start)).manifest
        assert check_text(manifest, f"{pair}", shipped_tools()).findings == ()


def test_the_states_that_an_output_schema_lists_are_expected() -> None:
    manifest = draft_class("process", tools_of("process")).manifest
    assert 'expect: {jsonPath: {state: "running"}}' in manifest


def test_a_step_that_does_not_take_what_start_may_be_given_is_left_out() -> None:
    start = tool("start_job", required=("kind",), kind={"enum": ["a", "b"]})
    stop = tool("stop_job", required=("kind",), kind={"enum": ["a", "b"]})
    for taken, found in ((["a"], "None"), (["a", "b", "c"], "job_logs")):
        [pair] = find_pairs([start, stop, tool("job_logs", required=("kind",), kind={"enum": taken})])
        assert str(pair.logs) == found


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Process started with PID 4711.", "4711"),
        ("## Pages\n1: about:blank\n2: Hello (http://127.0.0.1:18131/) [selected]", "2"),
        ("### Result\n- 0: [a](about:blank)\n- 1: (current) [](about:blank)", "1"),
        ("3", "3"),
        ("2: not chosen", None),
    ],
)
def test_the_guess_of_a_number_takes_digits_alone(text: str, number: str | None) -> None:
    found = search(handle_pattern("pid", "page", is_number=True), text)
    assert (found and found["value"]) == number


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Split horizontally. New session: %1", "%1"),
        ("Created session: s-1.", "s-1"),
        ("Session opened: 4f1c", "4f1c"),
        ("Session ID: 12", "12"),
        ("A new session is at work", None),
    ],
)
def test_the_guess_of_an_id_knows_how_answers_say_that_a_thing_is_new(text: str, found: str | None) -> None:
    match = search(handle_pattern("session_id", "session"), text)
    assert (match and match["value"]) == found


def test_what_all_tools_are_called_is_no_name_of_a_thing() -> None:
    unit: JsonObject = {"unit_name": {"type": "string"}}
    names = ("unit_start_tool", "unit_stop_tool", "unit_status_tool", "journal_query_tool", "boot_list_tool")
    draft = draft_class("s", [tool(name, required=("unit_name",), **unit) for name in names], start=names[0])
    [loaded] = load_manifests(draft.manifest, "draft")
    assert (draft.name, loaded.service_class.config.service_type) == ("s-unit", "unit")
    assert loaded.service_class.tools.start.args == {"unit_name": "{{ name }}"}


def test_a_stop_that_ends_one_of_several_kinds_is_told_which_though_it_has_a_default() -> None:
    said: JsonObject = {"type": "string", "default": "pane", "description": 'What to kill - "session" or "pane".'}
    start = tool("create_session", required=("name",), name={"type": "string"})
    for default, args in (
        ("pane", {"target": "{{ name }}", "type": "session"}),
        ("session", {"target": "{{ name }}"}),
    ):
        stop = tool("kill", required=("target",), target={"type": "string"}, type={**said, "default": default})
        manifest = draft_class("s", [start, stop, tool("list_sessions")], start="create_session", stop="kill").manifest
        [loaded] = load_manifests(manifest, "draft")
        assert loaded.service_class.tools.stop.args == args


def test_the_state_of_one_is_not_looked_for_where_another_may_be_shown() -> None:
    which: JsonObject = {"session_id": {"type": "string"}}
    text: JsonObject = {"type": "object", "properties": {"result": {"type": "string"}}}
    fields: JsonObject = {"type": "object", "properties": {"state": {"type": "string"}}}
    start, stop, listing = tool("start_session"), tool("stop_session", required=("session_id",), **which), tool("list")
    views = {
        "no id, and one text": (replace(tool("session_status"), output_schema=text), "None"),
        "no id, and a state": (replace(tool("session_status"), output_schema=fields), "session_status"),
        "output of any": (tool("read", **which), "None"),
        "output of one": (tool("read", required=("session_id",), **which), "read"),
    }
    for what, (view, status) in views.items():
        [pair] = find_pairs([start, stop, listing, view])
        assert (str(pair.status), str(pair.listing)) == (status, "list"), what


def test_the_arguments_of_a_program_and_its_volumes_can_be_given() -> None:
    texts: JsonObject = {"type": "array", "items": {"type": "string"}}
    start = tool("start_process", required=("command",), command={"type": "string"}, args=texts, volumes=texts)
    draft = draft_class("s", [start, tool("stop_process", required=("pid",), pid={"type": "integer"})])
    [loaded] = load_manifests(draft.manifest, "draft")
    assert set(loaded.service_class.spec.args) == {"command", "argsArg", "volumes"}


def test_a_view_of_a_part_is_named_where_no_tool_shows_the_whole() -> None:
    which: JsonObject = {"session_id": {"type": "string"}, "address": {"type": "integer"}}
    parts = [
        tool("get_memory", required=("session_id", "address"), **which),
        tool("enable_trace", required=("session_id",), **which),
        tool("list_regions", required=("session_id",), **which),
    ]
    tools = [tool("start_session"), tool("stop_session", required=("session_id",), **which)]
    asked = {len(views): draft_class("s", [*tools, *views]).questions[-1] for views in (parts, parts[:2])}
    assert "does list_regions fail once it is gone?" in asked[3]
    assert "is there one on another server?" in asked[2]


def test_a_view_of_what_the_id_is_called_after_shows_the_thing() -> None:
    which: JsonObject = {"task_id": {"type": "string"}}
    state: JsonObject = {"type": "object", "properties": {"task": {"type": ["null", "object"]}}}
    state["properties"]["task"]["properties"] = {"status": {"type": "string"}}
    tools = [
        tool("execute_command_async", required=("command",), command={"type": "string"}),
        tool("cancel_command_task", required=("task_id",), **which),
        replace(tool("get_command_task", required=("task_id",), **which), output_schema=state),
    ]
    draft = draft_class("s", tools)
    assert "tool: s/get_command_task" in draft.manifest
    assert "# expect: {jsonPath: {task.status: running}}" in draft.manifest


def test_a_stopwatch_is_one_word_and_its_verb_is_no_part_of_it() -> None:
    which: JsonObject = {"name": {"type": "string"}}
    tools = [tool(f"{verb}_stopwatch", required=("name",), **which) for verb in ("start", "stop", "get")]
    [pair] = find_pairs(tools)
    assert (str(pair), pair.thing, str(pair.status)) == (
        "start_stopwatch / stop_stopwatch",
        "stopwatch",
        "get_stopwatch",
    )


def test_a_draft_passes_on_what_stopping_needs() -> None:
    [loaded] = load_manifests(draft_class("neon", tools_of("neon")).manifest, "draft")
    tools, spec = loaded.service_class.tools, loaded.service_class.spec
    assert loaded.service_class.name == "neon-branch"
    assert tools.start.args == {"params": {"projectId": "{{ projectId }}", "branchName": "{{ name }}"}}
    assert tools.stop.args == {"params": {"projectId": "{{ projectId }}", "branchId": "{{ start.branchId }}"}}
    assert (spec.args["projectId"].required, "branchName" in spec.args) == (True, False)
    assert loaded.service_class.config.outputs == {"branchId": "{{ start.branchId }}"}


def test_a_thing_that_is_named_like_the_service_needs_no_output() -> None:
    [loaded] = load_manifests(draft_class("docker", tools_of("docker")).manifest, "draft")
    assert loaded.service_class.tools.start.args["name"] == "{{ name }}"
    draft = draft_class("docker", tools_of("docker"), start="run_container", stop="remove_container", name="box")
    [loaded] = load_manifests(draft.manifest, "draft")
    assert (loaded.service_class.name, loaded.service_class.tools.stop.tool) == ("box", "docker/remove_container")


def test_values_of_an_argument_that_says_what_to_do_are_fixed() -> None:
    [loaded] = load_manifests(draft_class("playwright", tools_of("playwright")).manifest, "draft")
    tools = loaded.service_class.tools
    assert (tools.start.args["action"], tools.stop.args["action"]) == ("new", "close")
    assert tools.status is None, "this server says that even listing tabs destroys"


@pytest.mark.parametrize(
    ("handle", "thing", "text", "value"),
    [
        ("pid", "process", "Process started with PID 4711 (shell: /bin/sh)", "4711"),
        ("processId", "", '{\n  "success": true,\n  "processId": "fcd7f112-c08f",\n  "pid": 1\n}', "fcd7f112-c08f"),
        ("branchId", "branch", "Branch created.\nProject ID: lucky-1\nBranch ID: br-wild-2\nName: x", "br-wild-2"),
        ("container_id", "container", '{"id": "02dba28991", "name": "lab"}', "02dba28991"),
        ("sandboxID", "sandbox", '{"templateID":"base","sandboxID":"i3x9","clientID":"6f"}', "i3x9"),
        ("tunnelId", "ssh tunnel", "Tunnel created\nID: tunnel_17_abc", "tunnel_17_abc"),
        ("id", "branch", '{"name": "dev", "id": "b-1"}', "b-1"),
        ("name", "container", "460b331004a503b45e84\n", "460b331004a503b45e84"),
        ("id", "branch", '{"id":"b-1"}', "b-1"),
    ],
)
def test_the_guess_takes_the_value_after_its_name(handle: str, thing: str, text: str, value: str) -> None:
    found = search(handle_pattern(handle, thing), text)
    assert found is not None
    assert found["value"] == value


def test_a_drafted_output_takes_the_id_from_a_real_answer() -> None:
    [loaded] = load_manifests(draft_class("manage-bg", tools_of("manage-bg")).manifest, "draft")
    answer = normalise([{"type": "text", "text": '{"success": true, "processId": "fcd7f112", "pid": 10453}'}])
    outputs = process_tool_outputs(loaded.service_class.tools.start.outputs, answer, {})
    assert outputs == {"processId": "fcd7f112"}


def tool(name: str, /, *, required: tuple[str, ...] = (), **properties: JsonObject) -> Tool:
    return Tool(name, {"type": "object", "properties": properties, "required": list(required)})


def test_limits_defaults_and_secrets_are_taken_over_and_reserved_names_are_not() -> None:
    start = tool(
        "start_job",
        required=("size", "env", "envs", "apiKey"),
        size={"type": ["integer", "null"], "minimum": 1, "maximum": 9},
        browser={"enum": ["fast", "slow", None], "default": "fast"},
        envs={"type": "array", "items": {"enum": ["a", "b"]}},
        mode={"enum": ["fast", "slow"], "default": "fast"},
        env={"type": "object"},
        apiKey={"type": "string"},
        note={"type": "string", "description": "said in\n two lines"},
        broken={"type": "integer", "default": "x"},
    )
    [loaded] = load_manifests(draft_class("s", [start, tool("stop_job")]).manifest, "draft")
    args = loaded.service_class.spec.args
    assert set(args) == {"size", "browser", "envArg", "envs", "apiKey"}
    assert args["envs"].items == {"type": "string", "enum": ["a", "b"]}
    assert json.dumps(args["size"].json_schema()) == '{"type": "integer", "minimum": 1, "maximum": 9}'
    assert (args["size"].type, args["size"].minimum, args["size"].maximum) == ("integer", 1, 9)
    assert (args["browser"].enum, args["browser"].default, args["browser"].required) == (
        ["fast", "slow"],
        "fast",
        False,
    )
    assert args["apiKey"].secret
    assert "mode, note, broken" in loaded.text


def test_only_what_tells_is_kept_of_a_described_answer_and_it_may_be_missing() -> None:
    described: JsonObject = {
        "type": "object",
        "properties": {
            "jobId": {"type": "string"},
            "url": {"type": ["string", "null"]},
            "state": {"type": "string"},
            "size": {"type": "integer"},
            "nested": {"type": "object"},
            "queue": {"type": "string"},
        },
        "required": ["jobId", "state"],
    }
    start = Tool("start_job", {"type": "object", "properties": {"queue": {"type": "string"}}}, described)
    draft = draft_class("s", [start, tool("stop_job", required=("jobId",), jobId={"type": "string"})])
    [loaded] = load_manifests(draft.manifest, "draft")
    tools = loaded.service_class.tools
    outputs = process_tool_outputs(tools.start.outputs, normalise([], {"jobId": "j-1", "state": "up"}), {})
    assert outputs == {"jobId": "j-1", "url": None}
    assert tools.stop.args == {"jobId": "{{ start.jobId }}"}
    assert draft.questions == ("no tool shows whether it exists; is there one on another server?",)


def test_a_tool_that_only_reads_neither_starts_nor_stops() -> None:
    reads = Tool("stop_job", {"type": "object"}, annotations={"readOnlyHint": True})
    assert find_pairs([tool("start_job"), reads]) == []
    assert find_pairs([tool("start_job"), tool("stop_all_jobs")]) == []


def test_a_server_without_a_pair_is_told_with_its_tools() -> None:
    with pytest.raises(DefinitionError, match=r"no two tools of server 'time'.*get_current_time.*start=TOOL"):
        draft_class("time", tools_of("time"))
    with pytest.raises(
        DefinitionError, match=r"has no pair of tools with start='nope': it has no such tool \(tools: .*create_branch"
    ):
        draft_class("neon", tools_of("neon"), start="nope")


TEXT: JsonObject = {"type": "string"}


def drafted(server: list[Tool], **said: str) -> ServiceClass:
    [loaded] = load_manifests(draft_class("s", server, **said).manifest, "draft")
    assert loaded.warnings == ()
    return loaded.service_class


def test_a_stop_that_takes_no_id_for_all_is_always_given_one() -> None:
    action: JsonObject = {"enum": ["start", "stop", "list"]}
    one = tool("jobs", required=("action",), action=action, command=TEXT, id=TEXT)
    tools = drafted([one]).tools
    assert tools.start.args["action"] == "start"
    assert tools.stop.args == {"action": "stop", "id": "{{ start.id }}"}
    apart = [tool("start_session", command=TEXT), tool("stop_session", session_id=TEXT)]
    assert drafted(apart).tools.stop.args == {"session_id": "{{ start.sessionId }}"}


@pytest.mark.parametrize(
    ("name", "about", "annotations", "is_restart"),
    [
        ("restart_vm", "Restart a running VM", {}, True),
        ("vm_reboot", "", {}, True),
        ("reload_vm", "Stops and starts the VM again", {}, True),
        ("reset_vm", "Reset the VM", {}, False),
        ("recreate_vm", "Recreate a VM", {}, False),
        ("restart_vm", "Restart a VM from its image; its disk is discarded", {}, False),
        ("restart_vm", "Restart a VM", {"destructiveHint": True}, False),
    ],
)
def test_what_may_destroy_is_no_restart_until_someone_says_so(
    name: str, about: str, annotations: JsonObject, *, is_restart: bool
) -> None:
    again = replace(tool(name, required=("vmId",), vmId={"type": "string"}), description=about, annotations=annotations)
    server = [
        tool("start_vm", required=("image",), image={"type": "string"}),
        tool("stop_vm", required=("vmId",), vmId={"type": "string"}),
        again,
    ]
    draft = draft_class("vms", server)
    [loaded] = load_manifests(draft.manifest)
    restart = loaded.service_class.tools.restart
    assert (restart.tool if restart else None) == (f"vms/{name}" if is_restart else None)
    assert any(name in question for question in draft.questions) is not is_restart


def test_what_matters_though_optional_is_an_arg_that_may_be_left_out() -> None:
    start = tool("start_vm", required=("vmName",), vmName={"type": "string"}, image={"type": "string"}, verbose={})
    draft = draft_class("vms", [start, tool("stop_vm", required=("vmName",), vmName={"type": "string"})])
    assert 'image: "{{ image | default(omit) }}"' in draft.manifest
    [loaded] = load_manifests(draft.manifest)
    assert not loaded.service_class.spec.args["image"].required
    assert "verbose" not in loaded.service_class.spec.args


def test_unlike_words_meet_where_the_id_flows() -> None:
    start = Tool(
        "execute_command",
        {"type": "object", "properties": {"command": TEXT}, "required": ["command"]},
        {
            "type": "object",
            "properties": {"job": {"$ref": "#/$defs/Job"}},
            "$defs": {"Job": {"properties": {"job_id": TEXT}}},
        },
    )
    stop = tool("kill_job", required=("job_id",), job_id=TEXT)
    made = drafted([start, stop, tool("delete_note", required=("note_id",), note_id=TEXT)])
    assert (made.tools.stop.tool, made.tools.start.outputs["jobId"]) == ("s/kill_job", "job.job_id")
    without_id = Tool("execute_command", start.input_schema)
    with pytest.raises(DefinitionError, match="no two tools"):
        draft_class("s", [without_id, stop])


def test_records_are_refused_and_named() -> None:
    notes = [
        tool("create_note", required=("title",), title=TEXT),
        tool("delete_note", required=("note_id",), note_id=TEXT),
        tool("update_note", required=("note_id",), note_id=TEXT),
    ]
    with pytest.raises(DefinitionError, match="create_note / delete_note look like records"):
        draft_class("s", notes)
    assert drafted(notes, start="create_note").tools.stop.tool == "s/delete_note"


def test_start_and_stop_that_are_said_are_taken_as_they_are() -> None:
    odd = [tool("make_it_so", required=("what",), what=TEXT), tool("never_mind", required=("token",), token=TEXT)]
    tools = drafted(odd, start="make_it_so", stop="never_mind").tools
    assert (tools.start.tool, tools.stop.args) == ("s/make_it_so", {"token": "{{ start.token }}"})
    with pytest.raises(DefinitionError, match="name both: start=make_it_so and stop=TOOL"):
        draft_class("s", odd, start="make_it_so")


WRONG: list[JsonObject] = [
    {"properties": {"id": None, "a": 5, "b": []}, "required": ["id", 5]},
    {"properties": {"a": {"enum": 5, "anyOf": 5, "type": 5, "description": 5}}, "required": 5},
    {"properties": {"a": {"anyOf": [5, None], "oneOf": {"x": 1}, "$ref": 5, "items": 5}}, "required": ["a"]},
    {"properties": {"a": {"type": "object", "properties": 5, "additionalProperties": 5, "required": "ab"}}},
    {"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"$ref": "#/$defs/A"}}, "required": ["a"]},
    {"properties": {"a": {"type": "integer", "minimum": "x", "default": {"$ref": 3}, "multipleOf": 10**400}}},
    {"properties": {"{{ x }}": {"default": "{{ 1 }}"}, "a\nb: c": {"default": float("nan")}, "": {}}},
    {"properties": {"a": {"enum": [str(number) for number in range(5000)]}}, "required": ["a"]},
    {"properties": {str(number): {"type": "string"} for number in range(5000)}},
    {"properties": [], "required": {}, "$defs": 5},
    {"properties": ["id"], "required": ["id"]},
    {"properties": 5},
    {"properties": {"id": {"type": "string"}}, "required": ["id", {"a": 1}, ["b"], None]},
]


@pytest.mark.parametrize("schema", WRONG)
def test_a_schema_with_what_is_not_of_its_kind_or_too_much_still_gives_a_short_class(schema: JsonObject) -> None:
    stop = Tool("stop_job", {"properties": {"id": {"type": "string"}}}, {"properties": 5}, {"title": 5})
    answered: JsonObject = {"type": 5, "properties": {"id": 5}}
    listed = {"name": "start_job", "description": "Start.\n\nArgs:\n    id: which one\n", "inputSchema": schema}
    draft = draft_class("odd", [Tool.of({**listed, "outputSchema": answered}), stop])
    assert len(draft.manifest) < 40_000
    live = live_list("odd", [tool_schema("start_job", schema), tool_schema("stop_job", stop.input_schema)])
    findings = check_text(draft.manifest, "draft", KnownTools({"odd": live})).findings
    assert not [finding for finding in findings if not finding.rule], findings


def test_of_so_many_tools_that_they_cannot_be_weighed_the_pair_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ostler.rules.drafts.drafting.DRAFT_SECONDS", 0.05)
    tools = [
        Tool(f"{verb}_{number}_job", {"properties": {"id": {"type": "string"}}})
        for number in range(60)
        for verb in ("start", "stop", "get")
    ]
    with pytest.raises(DefinitionError, match="180 tools, and to weigh all pairs of them takes more than"):
        draft_class("large", tools)
    draft = draft_class("large", tools, start="start_7_job", stop="stop_7_job")
    assert "large/stop_7_job" in draft.manifest


def test_several_likely_pairs_are_asked_for() -> None:
    both = [
        Tool(f"{verb}_{thing}", {"type": "object", "properties": {f"{thing}_id": TEXT}})
        for thing in ("pod", "vm")
        for verb in ("start", "stop")
    ]
    draft = draft_class("s", both)
    [other] = draft.alternatives
    assert (other.start, other.stop) == ("start_vm", "stop_vm")
    assert draft_class("s", both, start=other.start, stop=other.stop).start == "s/start_vm"
    assert "is start_pod / stop_pod what is meant? The server also has start_vm / stop_vm" in draft.questions


def test_what_says_which_one_is_passed_on_to_all_steps() -> None:
    where: JsonObject = {"type": "string", "default": "x64"}
    server = [
        tool("start_vm", required=("os",), os=TEXT, arch=where, cpus={"type": "integer", "default": 1}),
        tool("stop_vm", required=("os",), os=TEXT, arch=where, force={"type": "boolean", "default": False}),
        tool("vm_info", required=("os",), os=TEXT, arch=where),
        tool("console_output", required=("os",), os=TEXT, arch=where),
    ]
    made = drafted(server)
    tools = made.tools
    assert set(made.spec.args) == {"os", "arch"}
    for call in (tools.stop, tools.status, tools.logs):
        assert call is not None
        assert call.args == {"os": "{{ os }}", "arch": "{{ arch }}"}


def test_a_list_with_states_is_looked_at_by_item_and_state() -> None:
    state: JsonObject = {"enum": ["starting", "ready", "closed", "failed"]}
    item: JsonObject = {"type": "object", "properties": {"kernel_id": TEXT, "state": state}}
    answer: JsonObject = {"type": "object", "properties": {"items": {"type": "array", "items": item}}}
    created: JsonObject = {
        "type": "object",
        "anyOf": [{"properties": {"kernel_id": TEXT}}, {"properties": {"error": TEXT}}],
    }
    server = [
        Tool("create_kernel", {"type": "object"}, created),
        tool("close_kernel", required=("kernel_id",), kernel_id=TEXT),
        Tool("list_kernels", {"type": "object"}, answer),
    ]
    status = drafted(server).tools.status
    assert status is not None
    assert status.batch is not None
    assert (status.batch.items, status.batch.match) == ("items", {"kernel_id": "{{ start.kernelId }}"})
    assert status.expect is not None
    assert status.expect.jmespath == 'contains(`["starting", "ready"]`, state)'


@pytest.mark.parametrize("value", ["$0", "%3", "/dev/pts/1", "browserbase:12"])
def test_the_guess_keeps_the_signs_that_ids_have(value: str) -> None:
    found = search(handle_pattern("session_id", "session"), f"Opened.\nSession ID: {value}.")
    assert found is not None
    assert found["value"] == value


def test_what_a_stop_needs_and_the_start_may_take_is_asked_of_the_caller() -> None:
    server = [
        tool("run_in_terminal", required=("command",), command=TEXT, task_name=TEXT, project=TEXT),
        tool("kill_terminal", required=("project", "task_name"), project=TEXT, task_name=TEXT),
    ]
    loaded = drafted(server)
    assert loaded.spec.args["project"].required
    assert loaded.tools.start.args["project"] == "{{ project }}"
    assert loaded.tools.stop.args["project"] == "{{ project }}"


def test_a_thing_that_is_still_starting_is_waited_for() -> None:
    state: JsonObject = {"type": "string", "enum": ["starting", "ready", "failed"]}
    item: JsonObject = {"type": "object", "properties": {"vm_id": TEXT, "state": state}}
    start = tool("start_vm", required=("image",), image=TEXT)
    stop = tool("stop_vm", required=("vm_id",), vm_id=TEXT)
    one = Tool("get_vm", stop.input_schema, item)
    ready = drafted([start, stop, one]).tools.ready
    assert ready is not None
    assert ready.expect is not None
    assert ready.expect.json_path == {"state": "ready"}
    # of a list, which ready takes no batch for
    answer: JsonObject = {"type": "object", "properties": {"vms": {"type": "array", "items": item}}}
    ready = drafted([start, stop, Tool("list_vms", {"type": "object"}, answer)]).tools.ready
    assert ready is not None
    assert ready.batch is None
    assert ready.expect is not None
    assert ready.expect.jmespath == "vms[?to_string(vm_id) == '{{ start.vmId }}' && state == 'ready']"


def test_what_must_be_added_first_is_added_before_the_start() -> None:
    server = [
        tool("add_process", required=("name", "command"), name=TEXT, command=TEXT, directory=TEXT),
        tool("start_process", required=("name",), name=TEXT),
        tool("stop_process", required=("name",), name=TEXT),
    ]
    loaded = drafted(server)
    [added] = loaded.tools.pre_start
    assert added.tool == "s/add_process"
    assert added.args == {
        "name": "{{ name }}",
        "command": "{{ command }}",
        "directory": "{{ directory | default(omit) }}",
    }
    assert loaded.spec.args["command"].required
    assert loaded.tools.start.args == {"name": "{{ name }}"}


def test_an_end_whose_opposite_is_there_ends_nothing_else() -> None:
    server = [
        tool("create_session", session_name=TEXT),
        tool("enter_copy_mode", session_name=TEXT),
        tool("exit_copy_mode", session_name=TEXT),
        tool("get_session", session_name=TEXT),
    ]
    with pytest.raises(DefinitionError, match="no two tools"):
        draft_class("tmux", server)


def test_examples_of_a_free_object_show_what_it_may_hold() -> None:
    about = """Control background processes.
    Start: {"action": "start", "command": "npm run dev", "cwd": "/project"}
    Stop: {"action": "stop", "id": "p-1"}
    Output: {"action": "stdout", "id": "p-1", "lines": 50}"""
    schema: JsonObject = {"type": "object", "properties": {"args": {"type": "object"}}, "required": ["args"]}
    listed: JsonObject = {"name": "terminal", "description": about, "inputSchema": schema}
    loaded = drafted([Tool.of(listed)])
    assert loaded.tools.start.args["args"]["action"] == "start"
    assert loaded.tools.stop.args["args"] == {"action": "stop", "id": "{{ start.id }}"}


def test_answers_in_words_are_judged_at_the_stop_and_in_lists() -> None:
    server = [
        tool("start_job", required=("command",), command=TEXT),
        tool("stop_job", required=("job_id",), job_id=TEXT),
        tool("restart_job", required=("job_id",), job_id=TEXT),
        Tool("list_jobs", {"type": "object"}),
    ]
    tools = drafted(server).tools
    assert tools.restart is None  # the new job may have another id
    assert tools.stop.retry is not None
    refused = normalise([{"type": "text", "text": "{'status': 'error', 'reason': 'busy'}"}])
    gone = normalise([{"type": "text", "text": "Job j1 not found"}])
    assert is_like(refused, tools.stop.expect_not)
    assert is_like(gone, tools.stop.gone_when)
    assert not is_like(refused, tools.stop.gone_when)
    assert tools.status is not None
    assert tools.status.expect_not is not None
    patterns = [str(each).replace("{{ start.jobId }}", "j1") for each in tools.status.expect_not.matches or ()]
    running = '[{"id": "j2", "status": "exited"}, {"id": "j1", "status": "running"}]'
    ended = '[{"id": "j1",\n "status": "exited"}, {"id": "j2", "status": "running"}]'
    assert not any(search(pattern, running) for pattern in patterns)
    assert any(search(pattern, ended) for pattern in patterns)


@pytest.mark.parametrize("key", ["state", "größe", "is-up", 'a"b', "a\\b", "a b"])
def test_a_path_to_a_value_is_one_whatever_its_key_is(key: str) -> None:
    value: JsonObject = {"outer": {key: "running"}}
    response = normalise([], value)
    schema: JsonObject = {
        "type": "object",
        "properties": {"outer": {"type": "object", "properties": {key: {"type": "string"}}}},
    }
    paths = [path for path, _, _ in scalars_in(value)]
    paths += [each.path for each in answer_fields(Tool("show", {}, schema))]
    told = telling_expectation([response], [normalise([], {"outer": {key: "stopped"}})])
    assert told is not None
    paths += list(told[1]["jsonPath"])
    paths.append(str(found_output(key, response)))
    assert [search_value(path, value) for path in paths] == ["running"] * 4


def test_a_list_below_a_key_that_is_not_ascii_is_found() -> None:
    schema: JsonObject = {
        "type": "object",
        "properties": {"größen": {"type": "array", "items": {"type": "object", "properties": {"id": {}}}}},
    }
    found = list_of_items(Tool("list", {}, schema))
    assert found is not None
    assert search_value(found[0], {"größen": [{"id": 1}]}) == [{"id": 1}]


def test_a_tool_that_is_named_after_what_all_are_about_and_nothing_else_stops_no_draft() -> None:
    pairs = find_pairs(
        [
            tool("bash", required=("command",), command=TEXT),
            tool("bash_session_open"),
            tool("bash_shell_close", required=("session_id",), session_id=TEXT),
            tool("bash_session_close", required=("session_id",), session_id=TEXT),
            tool("bash_session_read", required=("session_id",), session_id=TEXT),
        ]
    )
    assert str(pairs[0]) == "bash_session_open / bash_session_close"


def test_a_run_that_may_be_in_the_background_is_there() -> None:
    loaded = drafted(
        [
            tool("run_python", required=("code",), code=TEXT, async_mode={"type": "boolean", "default": False}),
            tool("cancel_run", required=("run_id",), run_id=TEXT),
            tool("get_run", required=("run_id",), run_id=TEXT),
        ]
    )
    assert loaded.tools.start.args == {"code": "{{ code }}", "async_mode": True}
    assert loaded.tools.stop.tool == "s/cancel_run"


def test_an_end_that_names_the_thing_is_meant_and_not_one_that_names_none() -> None:
    pairs = find_pairs(
        [
            tool("cloud_new", session=TEXT),
            tool("cloud_stop", session=TEXT),
            tool("cloud_job_start", required=("command",), command=TEXT, session=TEXT),
            tool("cloud_job_cancel", required=("job_id",), job_id=TEXT, session=TEXT),
            tool("cloud_job_list", session=TEXT),
        ]
    )
    assert "cloud_job_start / cloud_job_cancel" in [str(pair) for pair in pairs]


@pytest.mark.parametrize(
    ("flag", "ended"), [('"is_alive": false', True), ('"running": false', True), ('"running": true', False),
                        ('"tui_active": false', False)],
)  # fmt: skip
def test_a_flag_says_that_an_entry_has_ended(flag: str, *, ended: bool) -> None:
    text = f'{{"sessions": [{{"session_id": "6a", "pid": 1, {flag}, "idle": 1.0}}]}}'
    assert any(search(pattern, text) for pattern in ended_entries("6a")) is ended
    assert bool(search(PROSE_GONE, f'{{"session_id": "6a", {flag}}}')) is ended


def _pairs(*tools: Tool) -> list[str]:
    return [str(pair) for pair in find_pairs(tools)]


def _uses(*named: tuple[str, str, list[str]]) -> list[str]:
    """Return the likeliest pairs of tools of (name, description, needed parameters)."""
    tools = [
        Tool(name, {"properties": {each: {"type": "string"} for each in needs}, "required": needs}, description=text)
        for name, text, needs in named
    ]
    return [str(pair) for pair in find_pairs(tools)]


def test_what_works_in_a_thing_that_is_there_does_not_start_it() -> None:
    found = _uses(
        ("create_session", "Create a PTY session in a folder.", ["session_id", "cwd"]),
        ("run", "Run a command. Requires an existing session created via create_session.", ["session_id", "command"]),
        ("terminate", "Terminate a PTY session.", ["session_id"]),
    )
    assert found[0] == "create_session / terminate"


def test_to_pause_is_not_to_end() -> None:
    named = (("resume_training", "Resume a paused run.", []), ("pause_training", "Pause training.", []))
    assert _uses(*named) == []


def test_keys_and_buttons_that_go_up_and_down_are_no_lifecycle() -> None:
    named = (("mouse_up", "Release a mouse button.", []), ("mouse_down", "Press and hold a mouse button.", []))
    assert _uses(*named) == []
    assert _uses(("stack_up", "Start the stack.", []), ("stack_down", "Stop the stack.", [])) == [
        "stack_up / stack_down"
    ]


def test_a_start_says_in_its_description_what_it_starts() -> None:
    found = _uses(
        ("initialize", "Sets up everything: finds Python, then starts the kernel daemon.", []),
        ("shutdown_kernel", "Shut down the kernel daemon.", []),
    )
    assert found == ["initialize / shutdown_kernel"]
    found = _uses(
        ("run_executable", "Run an executable of a package. Returns the process ID.", ["package"]),
        ("kill_process", "Kill a process.", ["pid"]),
    )
    assert found == ["run_executable / kill_process"]


def test_the_tool_that_has_an_action_says_how_much_the_action_starts() -> None:
    def acting(name: str, *actions: str) -> Tool:
        return Tool(name, {"properties": {"action": {"enum": list(actions)}}, "required": ["action"]})

    tools = [acting("game_watch", "start", "stop"), acting("game_run", "play", "stop")]
    assert str(find_pairs(tools)[0]) == "game_run(action=play) / game_run(action=stop)"
    [pair] = find_pairs([acting("power_vm", "on", "off", "pause", "unpause")])
    assert str(pair) == "power_vm(action=on) / power_vm(action=off)"


@pytest.mark.parametrize(
    "about",
    [
        "Start, stop (hard), shut down (ACPI) or restart the VM.",
        "Change a server. action must be start, stop or restart.",
        "Manage processes.\n\n    action: what to do (start, stop, restart, status)",
    ],
)
def test_actions_that_only_prose_lists_are_uses_of_the_tool(about: str) -> None:
    tool = Tool("server_power", {"properties": {"action": TEXT}, "required": ["action"]}, description=about)
    assert _pairs(tool)[0] == "server_power(action=start) / server_power(action=stop)"


def test_what_continues_a_thing_that_is_there_does_not_start_it() -> None:
    found = _uses(("resume_training", "Resume training.", []), ("stop_training", "Stop training.", []))
    assert found == []


def test_two_words_for_what_runs_are_one_arg() -> None:
    said: JsonObject = {"type": "string", "description": "The command."}
    server = [
        tool("start_job", command=said, cmd=said, cwd=TEXT),
        tool("stop_job", required=("pid",), pid={"type": "integer"}),
    ]
    assert set(drafted(server).spec.args) == {"command", "cwd"}


def test_an_index_that_both_take_says_which_one_and_a_list_of_the_things_is_no_log() -> None:
    number: JsonObject = {"type": "integer", "default": 0}
    server = [tool("start_stream", camera_index=number), tool("stop_stream", camera_index=number), tool("list_streams")]
    tools = drafted(server).tools
    assert tools.stop.args == {"camera_index": "{{ cameraIndex }}"}
    assert tools.logs is None
    assert (
        drafted([*server, tool("start_dashboard"), tool("stop_dashboard")], start="start_dashboard").tools.logs is None
    )


def test_a_refusal_names_the_calls_that_settle_it() -> None:
    notes = [tool("create_note", required=("title",), title=TEXT), tool("delete_note", required=("id",), id=TEXT)]
    with pytest.raises(DefinitionError) as caught:
        draft_class("s", notes)
    asked = caught.value.next_actions[0]
    assert asked.startswith('serviceclass_draft {"server": "s", "start": "create_note", "stop": "delete_note"}')
    assert "record" in asked


def test_what_is_started_in_a_thing_is_a_part_of_it() -> None:
    found = _uses(
        ("create_sandbox", "Create a new sandbox. Returns its session_id.", []),
        ("destroy_sandbox", "Tear down a sandbox by session id.", ["session_id"]),
        ("lsp_start", "Start a persistent language server in a sandbox. Returns an lsp_id.", ["session_id"]),
        ("lsp_stop", "Shut down a running language server started by lsp_start.", ["session_id", "lsp_id"]),
    )
    assert found == ["create_sandbox / destroy_sandbox", "lsp_start / lsp_stop"]


def test_a_stop_is_named_like_its_start_behind_what_all_tools_are_called() -> None:
    found = _uses(
        ("ue_play", "Start simulating the open level in the editor.", []),
        ("ue_stop_play", "Stop the active simulate session.", []),
        ("ue_spawn_actor", "Spawn an actor.", ["class_path"]),
        ("ue_destroy_actor", "Delete the actor with the given label.", ["label"]),
        ("ue_screenshot", "Take a screenshot.", []),
    )
    assert found[0] == "ue_play / ue_stop_play"


def _made(start: JsonObject, *needs: str) -> str:
    """Return the draft of a session whose start takes `start`, and whose end takes `needs`."""
    text = {"type": "string"}
    tools = [
        Tool("create_session", start, description="Create a session that runs a program."),
        Tool("kill_session", {"properties": dict.fromkeys(needs, text), "required": list(needs)}),
        Tool("list_sessions", {"type": "object"}, description="List the running sessions."),
    ]
    return draft_class("s", tools).manifest


def test_an_id_without_a_value_of_its_own_says_nothing_about_which_one() -> None:
    # "" as the default of an arg would make stop and status mean none, or all
    made = _made(
        {"properties": {"cmd": {"type": "string"}, "handle_no": {"type": "string", "default": ""}}}, "handle_no"
    )
    assert 'default: ""' not in made
    assert 'handle_no: "{{ start.handleNo }}"' in made
    made = _made({"properties": {"cmd": {"type": "string"}, "sid": {"type": "string", "default": ""}}}, "sid")
    assert made.count('sid: "{{ name }}"') == 2


def test_the_id_that_a_caller_must_choose_for_a_new_thing_is_the_services_name() -> None:
    text = {"type": "string"}
    made = _made({"properties": {"session_id": text, "cwd": text}, "required": ["session_id", "cwd"]}, "session_id")
    assert made.count('session_id: "{{ name }}"') == 2


def test_an_id_behind_what_was_done_is_found() -> None:
    pattern = handle_pattern("connection_id", "serial connection")
    for said, value in (("Connection opened: e4ad1d12", "e4ad1d12"), ("Connection opened (connection_id: c7)", "c7")):
        found = search(pattern, said)
        assert found is not None
        assert found["value"] == value
    assert search(pattern, "Connection refused by the device") is None


def test_what_a_description_says_first_is_what_a_start_makes() -> None:
    launch = ("launch_agents", "Create a session with one pane per agent.", ["session", "agents"])
    ends = [("kill_pane", "Kill one pane (one agent).", ["pane"]), ("kill_session", "Kill a session.", ["session"])]
    window = ("new_window", "Add a window.", ["session", "name"])
    found = _uses(window, launch, *ends, ("kill_window", "Kill a window.", ["session", "name"]))
    assert found[0] == "launch_agents / kill_session"  # and a window is a part of the session


def test_what_a_description_says_is_a_record_is_none_that_runs() -> None:
    made = ("zoo_create", "Create a model from another.", ["name"]), ("zoo_delete", "Delete one.", ["name"])
    assert _uses(*made, ("zoo_list", "List all.", []), ("zoo_show", "Show one.", ["name"])) == []


def test_a_word_that_is_written_together_with_its_verb_is_read() -> None:
    assert _uses(("startserver", "Begins.", ["port"]), ("stopserver", "Ends.", [])) == ["startserver / stopserver"]


def test_a_tool_that_names_another_one_for_what_waits_does_not_wait() -> None:
    found = _uses(
        (
            "execute_task",
            "Submit a script. Returns a task_id immediately. For synchronous execution, use execute_code instead.",
            ["script"],
        ),
        ("interrupt_task", "Cancel a running task.", ["task_id"]),
    )
    assert found == ["execute_task / interrupt_task"]


def test_a_question_about_a_stop_is_no_stop() -> None:
    assert _uses(("start_session", "Start a session.", []), ("session_stop_reason", "Why it stopped.", [])) == []


def test_what_docstrings_say_of_arguments_is_known() -> None:
    described = """Open a serial port.

    Args:
        port: System port name, such as
            "COM4".
        name: Nickname for this connection.
    """
    connect = {
        "name": "connect",
        "description": described,
        "inputSchema": {
            "properties": {"port": {"type": "string"}, "name": {"type": "string", "default": ""}},
            "required": ["port"],
        },
    }
    disconnect = {
        "name": "disconnect",
        "description": "Close a serial port.\n\n    Args:\n        connection: Which one (name from connect).\n",
        "inputSchema": {"properties": {"connection": {"type": "string", "default": ""}}},
    }
    status = {"name": "status", "description": "Report every open port.", "inputSchema": {"properties": {}}}
    read = {
        "name": "read_available",
        "description": "Drain and return what the device has sent.",
        "inputSchema": {"properties": {"connection": {"type": "string", "default": ""}}},
    }
    made = drafted([Tool.of(listed) for listed in (connect, disconnect, status, read)])
    tools = made.tools
    assert made.spec.args["port"].description == 'System port name, such as "COM4".'
    assert tools.stop.args == {"connection": "{{ name }}"}
    # what a read takes is gone, so it does not say whether the port is open; the status lists all
    assert tools.status is not None
    assert tools.status.expect is not None
    assert tools.status.expect_not is not None
    assert tools.status.expect_not.matches is not None
    assert (tools.status.tool, tools.status.expect.contains) == ("s/status", "{{ name }}")
    assert search(tools.status.expect_not.matches[-1], "Not connected. Remembered: trial (/dev/ttyS0)")


def test_where_a_stop_says_no_thing_there_is_one_at_a_time() -> None:
    start = Tool("start_browser", {"properties": {}}, description="Start the browser.")
    stop = Tool("stop_browser", {"properties": {}}, description="Stop the browser.")
    assert drafted([start, stop]).config.max_instances == 1
    named = Tool("stop_browser", {"properties": {"browser_id": {"type": "string"}}}, description="Stop a browser.")
    given = Tool("start_browser", {"properties": {}}, description="Start a browser. Returns its browser_id.")
    assert drafted([given, named]).config.max_instances is None
