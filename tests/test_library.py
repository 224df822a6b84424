"""The library face: every name is there and described, and drives a service through a ToolCaller of one's own."""

from collections.abc import Mapping
from typing import Any

import pytest

import ostler
from ostler.adapters.stores.memory import MemoryStore

CLASS = """
apiVersion: ostler/v1
kind: ServiceClass
metadata: {name: kubernetes-port-forward}
spec:
  args:
    namespace: {type: string, required: true}
    localPort: {type: integer, required: true}
  serviceConfig:
    serviceType: port-forward
    lifecycleTools:
      start:
        tool: kubernetes/port_forward
        args: {namespace: "{{ namespace }}", localPort: "{{ localPort }}"}
        outputs: {session: result.sessionID}
      stop: {tool: kubernetes/stop_port_forward, args: {sessionID: "{{ start.session }}"}}
    outputs: {address: "127.0.0.1:{{ localPort }}"}
"""


class Tools:
    """A ToolCaller of one's own."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    async def call_tool(
        self, tool: str, args: Mapping[str, Any], *, timeout: float | None = None, progress: object = None
    ) -> ostler.ToolResponse:
        self.calls.append((tool, dict(args)))
        return ostler.normalise([{"type": "text", "text": '{"sessionID": "pf-1"}'}])


@pytest.mark.parametrize("name", ostler.__all__)
def test_every_name_is_there_and_described(name: str) -> None:
    found = getattr(ostler, name)
    assert name == "StateChangeCallback" or (found.__doc__ or "").strip()


@pytest.mark.anyio
async def test_a_class_instance_driven_by_a_tool_caller_of_ones_own() -> None:
    tools = Tools()
    changes: list[tuple[str, str, str]] = []
    async with ostler.ServiceManager(tools, MemoryStore()) as manager:
        loaded = ostler.load_manifests(CLASS, "port-forward.yaml")[0]
        manager.classes.add(ostler.ClassEntry(loaded.service_class, loaded.digest))
        request = ostler.CreateRequest(
            "kubernetes-port-forward", "prometheus", {"namespace": "monitoring", "localPort": 9090}, start=False
        )
        await manager.create(request)
        manager.registry.get("prometheus").on_state_change(
            lambda name, old, new, health, error: changes.append((name, old, new))
        )
        result = await manager.start_service("prometheus")
        assert result.service.outputs == {"address": "127.0.0.1:9090"}
        await manager.stop_service("prometheus")
    assert tools.calls == [
        ("kubernetes/port_forward", {"namespace": "monitoring", "localPort": 9090}),
        ("kubernetes/stop_port_forward", {"sessionID": "pf-1"}),
    ]
    assert changes == [
        ("prometheus", "stopped", "starting"),
        ("prometheus", "starting", "running"),
        ("prometheus", "running", "stopping"),
        ("prometheus", "stopping", "stopped"),
    ]
