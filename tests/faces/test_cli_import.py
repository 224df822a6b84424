"""`ostler import`: muster's manifests written out as ostler/v1 files that mean the same."""

import json
from pathlib import Path

import pytest

from ostler.faces.cli.app import run_command
from ostler.faces.cli.session import ExitStatus
from ostler.model.tool_names import ToolNames
from ostler.rules.reading import load_manifests

SHAPES = Path(__file__).parents[1] / "rules" / "data" / "muster"
SERVERS = ("k8s", "docker", "postgres", "kubernetes", "http", "tunnel-box")

FORWARD = """\
# Opens the metrics of a cluster.
# Ask the platform team for access.
apiVersion: muster.giantswarm.io/v1alpha1
kind: ServiceClass
metadata:
  name: forward  # as everybody calls it
  namespace: default # no one cares
spec:
  args:
    port: {type: integer, default: 18000}
  serviceConfig:
    lifecycleTools:
      # by the cluster's own tools
      start:
        tool: x_my_k8s_port_forward
        args:
          # free on every laptop
          port: "{{ .port }}"
          script: |
            # not a comment
            run {{ .port }}
        outputs: {id: result.id}  # what stop needs
      stop:
        tool: x_my_k8s_stop
        args: {id: "{{ .id }}"}
    lifecycleHooks:
      # tells the team
      postStart:
        - tool: x_my_k8s_tell  # politely
# the end
"""

TRANSLATED = """\
# Translated from muster.giantswarm.io/v1alpha1 (forward.yaml) by ostler import.
# Opens the metrics of a cluster.
# Ask the platform team for access.
apiVersion: ostler/v1
kind: ServiceClass
metadata:
  name: forward  # as everybody calls it
spec:
  args:
    port:
      type: integer
      default: 18000
  serviceConfig:
    lifecycleTools:
      # by the cluster's own tools
      start:
        tool: my_k8s/port_forward
        args:
          # free on every laptop
          port: "{{ port }}"
          script: |
            # not a comment
            run {{ port }}
        outputs:  # what stop needs
          id: result.id
      stop:
        tool: my_k8s/stop
        args:
          id: "{{ start.id }}"
      # tells the team
      postStart:
        - tool: my_k8s/tell  # politely
# the end
"""


class Imports:
    """`ostler import` over folders of one test."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.config = folder / "config"
        self.classes = self.config / "serviceclasses"
        self.source = folder / "forward.yaml"
        self.source.write_text(FORWARD, encoding="utf-8")
        self._folders = ("--config", str(self.config), "--state", str(folder / "state"))
        self._capsys = capsys
        self.out = self.err = ""

    def run(self, *arguments: str | Path) -> int:
        return self.ostler("import", *map(str, arguments))

    def ostler(self, *arguments: str) -> int:
        status = run_command([*self._folders, *arguments])
        captured = self._capsys.readouterr()
        self.out, self.err = captured.out, captured.err
        return status


@pytest.fixture
def imports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Imports:
    return Imports(tmp_path, capsys)


def test_the_translation_keeps_comments_and_passes_validate(imports: Imports) -> None:
    assert imports.run(imports.source, "--server", "my_k8s") == ExitStatus.OK, imports.err
    path = imports.classes / "forward.yaml"
    assert imports.out == f"forward: {path}\n"
    assert imports.err == ""
    assert path.read_text(encoding="utf-8") == TRANSLATED
    assert imports.ostler("validate", str(path)) == ExitStatus.OK
    assert imports.out == "1 valid: forward\n"


def test_a_name_that_is_no_label_becomes_one_with_a_warning(imports: Imports) -> None:
    imports.source.write_text(FORWARD.replace("name: forward", "name: My_Forward.v1"), encoding="utf-8")
    assert imports.run(imports.source, "--server", "my_k8s") == ExitStatus.OK, imports.err
    path = imports.classes / "my-forward-v1.yaml"
    assert imports.out == f"my-forward-v1: {path}\n"
    assert "'My_Forward.v1' is called 'my-forward-v1' in ostler/v1" in imports.err
    assert imports.ostler("validate", str(path)) == ExitStatus.OK


def test_servers_of_mcp_json_tell_names_apart(imports: Imports, tmp_path: Path) -> None:
    imports.config.mkdir()
    (imports.config / "mcp.json").write_text(json.dumps({"mcpServers": {"my_k8s": {"command": "k8s-mcp"}}}))
    assert imports.run(imports.source, "-o", tmp_path / "made") == ExitStatus.OK
    assert (tmp_path / "made" / "forward.yaml").read_text(encoding="utf-8") == TRANSLATED


def test_validate_reads_names_by_the_servers_of_mcp_json_too(imports: Imports) -> None:
    imports.source.write_text(FORWARD.replace("x_my_k8s_", "my_k8s_"), encoding="utf-8")
    assert imports.ostler("validate", str(imports.source)) == ExitStatus.OK
    assert "'my_k8s_port_forward' does not say which server's tool it is" in imports.out + imports.err
    imports.config.mkdir()
    (imports.config / "mcp.json").write_text(json.dumps({"mcpServers": {"my_k8s": {"command": "k8s-mcp"}}}))
    assert imports.ostler("validate", str(imports.source)) == ExitStatus.OK
    assert "does not say" not in imports.out + imports.err


def test_a_class_of_muster_is_tested_as_it_is(imports: Imports) -> None:
    imports.classes.mkdir(parents=True)
    (imports.config / "mcp.json").write_text(json.dumps({"mcpServers": {"my_k8s": {"command": "k8s-mcp"}}}))
    (imports.classes / "forward.yaml").write_text(FORWARD, encoding="utf-8")
    (imports.classes / "forward.test.yaml").write_text(TESTS, encoding="utf-8")
    assert imports.ostler("test", "forward") == ExitStatus.OK, imports.out
    assert "1 passed, 0 failed" in imports.out


TESTS = """\
apiVersion: ostler/v1
kind: ServiceClassTest
serviceClass: forward
service: metrics
tests:
  - name: runs and stops
    steps:
      - do: create
        calls:
          - {tool: my_k8s/port_forward, argsInclude: {port: 18000}, answer: {id: f1}}
          - {tool: my_k8s/tell, answer: {}}
        expect: {state: running}
      - do: stop
        calls: [{tool: my_k8s/stop, args: {id: f1}}]
        expect: {state: stopped}
"""


def test_a_server_that_no_one_knows_is_told(imports: Imports) -> None:
    assert imports.run(imports.source, "--stdout") == ExitStatus.OK
    assert "tool: my/k8s_port_forward" in imports.out
    assert f"{imports.source}:15:15: no downstream server is known that 'x_my_k8s_port_forward'" in imports.err
    assert not imports.config.exists()


@pytest.mark.parametrize("path", sorted(SHAPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_documented_shape_means_the_same_translated(imports: Imports, path: Path) -> None:
    servers = [option for server in SERVERS for option in ("--server", server)]
    assert imports.run(path, "--stdout", *servers) == ExitStatus.OK, imports.err
    [made] = load_manifests(imports.out)
    [original] = load_manifests(path.read_text(encoding="utf-8"), known=ToolNames.of(SERVERS))
    assert not made.is_translated
    assert made.digest == original.digest


def test_a_file_that_is_there_is_replaced_only_on_demand(imports: Imports) -> None:
    imports.classes.mkdir(parents=True)
    path = imports.classes / "forward.yaml"
    path.write_text("mine\n", encoding="utf-8")
    assert imports.run(imports.source) == ExitStatus.FAILED
    assert f"{path}: the file already exists [exists]; --force replaces it" in imports.err
    assert path.read_text(encoding="utf-8") == "mine\n"
    assert imports.run(imports.source, "--force") == ExitStatus.OK
    assert "apiVersion: ostler/v1" in path.read_text(encoding="utf-8")


def test_a_file_is_translated_in_its_place(imports: Imports) -> None:
    imports.classes.mkdir(parents=True)
    path = imports.classes / "forward.yaml"
    path.write_text(FORWARD, encoding="utf-8")
    assert imports.run(path, "--force", "--server", "my_k8s") == ExitStatus.OK
    assert path.read_text(encoding="utf-8") == TRANSLATED
    other = path.rename(imports.classes / "old.yaml")
    other.write_text(FORWARD, encoding="utf-8")
    assert imports.run(other, "--server", "my_k8s") == ExitStatus.OK
    assert f"{other} defines the class too, and may go now" in imports.err


def test_all_files_or_none_are_written(imports: Imports, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(FORWARD.replace("{{ .port }}", "{{ .prot }}"), encoding="utf-8")
    ours = tmp_path / "ours.yaml"
    ours.write_text(TRANSLATED, encoding="utf-8")
    compose = tmp_path / "compose.yaml"
    compose.write_text("services: {db: {image: postgres}}", encoding="utf-8")
    assert imports.run(imports.source, broken, ours, compose, tmp_path / "none.yaml") == ExitStatus.FAILED
    assert f"{broken}:18:17: the template cannot be translated: '.prot' is neither" in imports.err
    assert f"{broken}:21:1: the template cannot be translated" in imports.err
    assert f"{ours}:4:13: ServiceClass 'forward' is not of muster" in imports.err
    assert f"ostler project init --from {compose} writes an ostler.yaml from it" in imports.err
    assert "none.yaml: cannot be read: No such file" in imports.err
    assert not imports.config.exists()
    assert imports.run(imports.source, imports.source) == ExitStatus.FAILED
    assert "ServiceClass 'forward' is in" in imports.err
    assert imports.run(imports.source, "--stdout", "-o", tmp_path) == ExitStatus.USAGE
