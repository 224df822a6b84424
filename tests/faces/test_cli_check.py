"""`ostler check` and `ostler tools save` as people run them: what is printed, and the exit status."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from processes.command_line import CommandLine

from ostler.faces.cli.session import ExitStatus

pytestmark = pytest.mark.realtime

FOLDER = Path(__file__).parents[2] / "serviceclasses"


BROKEN = """\
apiVersion: ostler/v1
kind: ServiceClass
metadata: {name: broken}
spec:
  serviceConfig:
    lifecycleTools:
      start: {tool: process/strat}
      stop: {tool: process/stop, args: {key: "{{ name }}"}}
"""


def test_check_finds_nothing_in_the_shipped_classes(alone: CommandLine) -> None:
    assert alone.run("check", "--offline") == ExitStatus.OK, alone.out
    assert "no problems in" in alone.out
    assert "process as saved" in alone.out
    assert not Path(alone.place.state_dir, "ostler.lock").exists(), "--offline starts no server"


def test_check_tells_every_finding_for_people_and_for_programs(alone: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(BROKEN)
    assert alone.run("check", "--offline", str(file)) == ExitStatus.FAILED
    assert alone.out.splitlines() == [
        f"{file}:7:21: error: server 'process' has no tool 'strat' [unknown-tool]",
        "    did you mean 'process/start'?",
        "1 error in 1 class (tools: process as saved)",
    ]
    assert alone.run("check", "--offline", str(file), "--format", "json") == ExitStatus.FAILED
    facts = json.loads(alone.out)
    assert (facts["clean"], facts["classes"], facts["tools"]) == (False, ["broken"], {"process": "as saved"})
    assert facts["findings"][0]["rule"] == "unknown-tool"
    assert alone.run("check", "--offline", str(file), "--format", "sarif") == ExitStatus.FAILED
    run = json.loads(alone.out)["runs"][0]
    (result,) = run["results"]
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "unknown-tool"
    place = result["locations"][0]["physicalLocation"]
    assert place["region"] == {"startLine": 7, "startColumn": 21}
    assert place["artifactLocation"]["uri"] == file.as_uri()


def test_a_file_without_a_class_that_can_be_read_is_told_as_such(alone: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(BROKEN.replace("stop:", "stopp:"))
    assert alone.run("check", "--offline", str(file)) == ExitStatus.FAILED
    assert alone.out.endswith("; nothing could be loaded\n")


def test_check_of_names_folders_and_what_is_not_there(
    alone: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project" / "redis").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")  # a project has a folder of the same name
    assert alone.run("check", "--offline", "redis") == ExitStatus.OK
    assert "in 1 class " in alone.out
    (tmp_path / "ok.yaml").write_text(BROKEN.replace("strat}", 'start, args: {key: "{{ name }}", command: x}}'))
    assert alone.run("check", "--offline", "command", str(tmp_path)) == ExitStatus.OK, alone.out
    assert "in 2 classes" in alone.out
    assert alone.run("check", "--offline", "comand") == ExitStatus.NOT_FOUND
    assert "did you mean 'command'" in alone.err
    assert alone.run("check", "--offline", "nothing.yaml") == ExitStatus.FAILED
    assert "nothing.yaml: error: cannot be read" in alone.out
    assert alone.run("check", "--offline", "--tools", str(tmp_path / "ok.yaml")) == ExitStatus.USAGE
    assert "is not a saved tools list" in alone.err


def test_check_against_the_live_server_and_against_the_list_that_it_saved(alone: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(BROKEN)
    assert alone.run("check", str(file)) == ExitStatus.FAILED, alone.err
    assert "did you mean 'process/start'?" in alone.out
    assert "(tools: process as listed now)" in alone.out
    assert alone.run("tools", "save") == ExitStatus.OK, alone.err
    saved = Path(alone.place.config_dir, "tools", "process.json")
    shipped = json.loads((FOLDER / "tools" / "process.json").read_text(encoding="utf-8"))
    assert f"{len(by_name(shipped))} tools saved in {saved}" in alone.out
    assert by_name(json.loads(saved.read_text(encoding="utf-8"))) == by_name(shipped), "the shipped list is stale"
    saved.write_text(saved.read_text(encoding="utf-8").replace('"name": "start"', '"name": "strat"'))
    assert alone.run("check", "--offline", str(file)) == ExitStatus.FAILED
    assert "missing-arg" in alone.out
    saved.unlink()
    assert alone.run("tools", "save", "proces") == ExitStatus.NOT_FOUND
    assert alone.run("tools", "process") == ExitStatus.OK
    assert "process/start" in alone.out


def test_check_reads_the_names_of_muster_by_the_servers_of_mcp_json(alone: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "forward.yaml"
    calls = "start: {tool: x_my_kube_port_forward, args: {prot: 1}}, stop: {tool: x_my_kube_stop}"
    file.write_text(
        "apiVersion: muster.giantswarm.io/v1alpha1\nkind: ServiceClass\nmetadata: {name: forward}\n"
        f"spec: {{serviceConfig: {{lifecycleTools: {{{calls}}}}}}}\n"
    )
    config = Path(alone.place.config_dir)
    saved = config / "tools" / "my_kube.json"
    saved.parent.mkdir(parents=True)
    (config / "mcp.json").write_text('{"mcpServers": {"my_kube": {"command": "none", "ostler": {"autoStart": false}}}}')
    assert alone.run("check", "--offline", str(file)) == ExitStatus.FAILED
    assert alone.out.count("no tools list of server 'my_kube' is known") == 2
    tools = [
        {"name": "port_forward", "inputSchema": {"properties": {"port": {}}, "additionalProperties": False}},
        {"name": "stop", "inputSchema": {}},
    ]
    saved.write_text(json.dumps({"tools": tools}))
    assert alone.run("check", "--offline", str(file)) == ExitStatus.FAILED
    assert "unknown-arg" in alone.out
    assert "(tools: my_kube as saved)" in alone.out


def test_recorded_answers_are_kept_without_secrets_for_the_check(alone: CommandLine, tmp_path: Path) -> None:
    call = json.dumps({"key": "trial", "command": "sleep 60", "env": {"API_KEY": "hunter2hunter2"}})
    assert alone.run("call", "process/start", "--args-json", call, "--record") == ExitStatus.OK, alone.err
    assert alone.run("tools", "save", "process", "--answers") == ExitStatus.OK, alone.err
    samples = Path(alone.place.config_dir, "tools", "samples", "process.json")
    recorded = json.loads(samples.read_text(encoding="utf-8"))
    assert {"start", "list"} <= {each["tool"] for each in recorded}
    assert "hunter2" not in samples.read_text(encoding="utf-8")
    assert alone.run("call", "process/stop", "--args-json", '{"key": "trial"}') == ExitStatus.OK, alone.err
    lists = samples.parents[1]
    saved = json.loads((lists / "process.json").read_text(encoding="utf-8"))
    for tool in saved["tools"]:
        tool.pop("outputSchema", None)  # now the recorded answer alone says what start gives
    (lists / "process.json").write_text(json.dumps(saved), encoding="utf-8")
    file = tmp_path / "odd.yaml"
    outputs = 'args: {key: "{{ name }}", command: x}, outputs: {it: pdi}}'
    file.write_text(BROKEN.replace("strat}", f"start, {outputs}"))
    assert alone.run("check", "--offline", str(file)) == ExitStatus.FAILED
    assert "did you mean 'pid'" in alone.out, alone.out


def by_name(listed: Any) -> dict[str, Any]:
    return {tool["name"]: tool for tool in listed["tools"]}


def test_check_offline_imports_no_mcp() -> None:
    code = (
        "import sys; from ostler.faces.entry import main; main(['check', '--offline', 'command']); "
        "sys.exit(any(name == 'mcp' or name.startswith(('mcp.', 'mcp_types', 'anyio')) for name in sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
