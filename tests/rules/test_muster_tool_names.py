"""Muster's tool names, told apart by the servers and tools that are known."""

import pytest

from ostler.model.tool_names import ToolNames
from ostler.rules.muster.joined_names import OWN_TOOLS, ResolvedTool, ToolNameError, resolve_tool

KNOWN = ToolNames.of(
    ["kubernetes", "kubernetes_port", "tunnel-box", "github", "docker", "podman", "git"],
    ["git/git_log", "git/status", "docker/run", "docker/stop", "podman/run", "podman/kube_play"],
)


@pytest.mark.parametrize(
    ("name", "tool"),
    [
        ("x_docker_run", "docker/run"),
        ("x_tunnel-box_link_open", "tunnel-box/link_open"),
        # the longest server name, unless a listed tool tells otherwise
        ("x_kubernetes_port_forward", "kubernetes_port/forward"),
        ("x_kubernetes_get_pods", "kubernetes/get_pods"),
        # muster left out a server's name that the tool's name begins with
        ("x_git_log", "git/git_log"),
        ("x_git_git_log", "git/git_log"),
        ("x_git_status", "git/status"),
        ("x_git_push", "git/push"),
        ("docker/run", "docker/run"),
        ("core_service_create", "ostler/service_create"),
        # without `x_`, as the documentation writes them: where only one server can be meant
        ("kube_play", "podman/kube_play"),
        ("api_kube_play", "podman/kube_play"),
        ("docker_stop", "docker/stop"),
        ("api_docker_stop", "docker/stop"),
        ("api_kubernetes_connect", "kubernetes/connect"),
    ],
)
def test_names_are_resolved_by_what_is_known(name: str, tool: str) -> None:
    assert resolve_tool(name, KNOWN) == ResolvedTool(tool)


def test_a_listed_tool_decides_between_servers() -> None:
    known = ToolNames.of(["kubernetes", "kubernetes_port"], ["kubernetes/port_forward", "kubernetes_port/open"])
    assert resolve_tool("x_kubernetes_port_forward", known) == ResolvedTool("kubernetes/port_forward")
    assert resolve_tool("x_kubernetes_port_open", known) == ResolvedTool("kubernetes_port/open")


def test_a_server_that_has_not_listed_its_tools_yet_may_have_it() -> None:
    known = ToolNames.of(["a", "a_b"], ["a_b/other"])
    assert resolve_tool("x_a_b_tool", known) == ResolvedTool("a/b_tool")


def test_without_a_known_server_the_first_word_is_taken_for_it() -> None:
    for known in (ToolNames(), KNOWN):
        assert resolve_tool("x_mimir_execute_query", known) == ResolvedTool("mimir/execute_query", is_guess=True)


@pytest.mark.parametrize(
    ("name", "phrase", "fix"),
    [
        ("run", "'run' may be docker/run or podman/run", "write one of them"),
        ("deploy", "does not say which server's tool it is", "write 'server/deploy'"),
        ("x_docker", "does not say which server's tool it is", "x_<server>_<tool>"),
        ("a/b c", "is not a tool name", "server/tool"),
        ("core_service_crate", "not one of Ostler's own tools", "did you mean 'core_service_create'?"),
        ("core_workflow_list", "Ostler has no workflows", "postStart"),
        ("workflow_deploy", "Ostler has no workflows", "postStart"),
    ],
)
def test_what_cannot_be_resolved_says_what_to_write(name: str, phrase: str, fix: str) -> None:
    with pytest.raises(ToolNameError) as caught:
        resolve_tool(name, KNOWN)
    assert phrase in caught.value.summary
    assert fix in caught.value.fix


def test_ostlers_own_tools_are_those_that_there_are() -> None:
    from ostler.faces.mcp.toolbox import TOOLS

    assert {tool.name for tool in TOOLS} >= OWN_TOOLS
