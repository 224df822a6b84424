"""KubeConnections, kubeconfigs and credentials against a scripted API server over HTTP and TLS."""

import json
import os
import ssl
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme
from tests.support.kube_server import Cluster, as_base64, kube_server, write_kubeconfig
from tests.support.ports import dead_proxy

from ostler.adapters.kubernetes.kube_connection import KubeConnectionService
from ostler.adapters.kubernetes.kubeconfig import read_access
from ostler.adapters.kubernetes.reconnecting import SupervisedService, World
from ostler.adapters.kubernetes.trouble import KubeTroubleError
from ostler.engine.clock import SystemClock
from ostler.model.errors import OperationError
from ostler.model.statics import KubeConnection

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]

WITHIN = 60.0


@asynccontextmanager
async def connection(environment: dict[str, str] | None = None, **spec: Any) -> AsyncGenerator[KubeConnectionService]:
    """A connection that looks every tenth of a second, started on its own."""
    definition = KubeConnection.model_validate(
        {
            "apiVersion": "ostler/v1",
            "kind": "KubeConnection",
            "metadata": {"name": "cluster", "labels": {"team": "web"}},
            "spec": {"interval": 0.1, "timeout": 30, **spec},
        }
    )
    service = KubeConnectionService(definition, World({**os.environ, **(environment or {})}, SystemClock()))
    with anyio.fail_after(WITHIN):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(service.run)
            yield service
            service.close()
            await service.ended.wait()


def url(cluster: Cluster, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{cluster.port}"


async def test_it_tells_who_we_are_and_what_is_there(tmp_path: Path) -> None:
    async with kube_server(Cluster(tokens={"secret-token": ("jane", ["developers", "oncall"])})) as cluster:
        server = url(cluster).replace("//", "//jane:pass-word@")
        config = write_kubeconfig(tmp_path / "config", server, user={"token": "secret-token"})
        async with connection(kubeconfig=str(config), context="prod") as service:
            await service.start()
            assert (service.state, service.health, service.reachability) == ("connected", "healthy", "reachable")
            data = service.service_data()
            assert data.pop("latencyMs") > 0
            assert data == {
                "context": "prod", "kubeconfig": str(config), "server": url(cluster), "namespace": "shop",
                "serverVersion": "v1.34.3", "user": "jane", "groups": ["developers", "oncall"], "connections": 1,
            }  # fmt: skip
            assert service.outputs()["version"] == "v1.34.3"
            assert service.view().labels == {"team": "web"}
            assert "secret-token" not in str(service.view())
            seen = len(cluster.requests)
            assert await service.check_health() == "healthy"
            assert len(cluster.requests) > seen


async def test_it_notices_what_changes(tmp_path: Path) -> None:
    async with kube_server(Cluster(tokens={"t": ("jane", [])})) as cluster:
        config = write_kubeconfig(tmp_path / "config", url(cluster), user={"token": "t"})
        async with connection(kubeconfig=str(config)) as service:
            await service.start()
            cluster.tokens = {"u": ("joe", [])}
            status = await service.wait_until(lambda status: status.state == "auth_required")
            assert "kubectl --context dev auth whoami" in str(status.error)
            assert "user" not in service.service_data()
            write_kubeconfig(config, url(cluster), user={"token": "u"})
            await service.wait_until(lambda status: status.state == "connected")
            assert service.service_data()["user"] == "joe"
            cluster.broken = 503
            status = await service.wait_until(lambda status: status.state == "unreachable")
            assert "HTTP 503, the server is currently unable" in str(status.error)
            assert service.health == "unhealthy"
            cluster.broken = 0
            await service.wait_until(lambda status: status.state == "connected")
            await service.stop()
            assert service.state == "stopped"


@pytest.mark.parametrize(("versions", "user"), [(("v1beta1",), "system:anonymous"), ((), None)])
async def test_older_servers_say_less(tmp_path: Path, versions: tuple[str, ...], user: str | None) -> None:
    async with kube_server(Cluster(review_versions=versions)) as cluster:
        config = write_kubeconfig(tmp_path / "config", url(cluster))
        async with connection(kubeconfig=str(config)) as service:
            await service.start()
            assert service.service_data().get("user") == user


async def test_a_cluster_of_this_machine_is_asked_without_the_proxy_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in dead_proxy().items():
        monkeypatch.setenv(name, value)
    async with kube_server(Cluster()) as cluster:
        config = write_kubeconfig(tmp_path / "config", url(cluster))
        async with connection(kubeconfig=str(config)) as service:
            await service.start()
            assert service.state == "connected"
        way: Any = {"proxy-url": os.environ["HTTP_PROXY"]}
        proxied = write_kubeconfig(tmp_path / "proxied", url(cluster), **way)
        async with connection(kubeconfig=str(proxied)) as service:
            with pytest.raises(OperationError, match="cannot be used"):
                await service.start()
            assert service.state == "unreachable"


async def test_tls_with_a_certificate_of_our_own(tmp_path: Path) -> None:
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    mine = authority.issue_cert("jane@example.com")
    options: dict[str, Any] = {
        "ssl_certfile": str(tmp_path / "server.pem"), "ssl_ca_certs": str(tmp_path / "ca.crt"),
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
    }  # fmt: skip
    user = {
        "client-certificate-data": as_base64(b"".join(blob.bytes() for blob in mine.cert_chain_pems)),
        "client-key-data": as_base64(mine.private_key_pem.bytes()),
    }
    async with kube_server(Cluster(), **options) as cluster:
        good = write_kubeconfig(
            tmp_path / "a" / "config", url(cluster, "https"), user=user, **{"certificate-authority": "../ca.crt"}
        )
        async with connection(kubeconfig=str(good)) as service:
            await service.start()
        data = {"certificate-authority-data": as_base64(authority.cert_pem.bytes())}
        good = write_kubeconfig(tmp_path / "config", url(cluster, "https"), user=user, **data)
        async with connection(kubeconfig=str(good)) as service:
            await service.start()
        data = {"certificate-authority-data": as_base64(other.cert_pem.bytes())}
        bad = write_kubeconfig(tmp_path / "config", url(cluster, "https"), user=user, **data)
        async with connection(kubeconfig=str(bad)) as service:
            with pytest.raises(OperationError, match="certificate verify failed"):
                await service.start()
            assert service.state == "unreachable"


PLUGIN = """
import json, os, pathlib, sys
here = pathlib.Path(__file__).parent
with (here / "runs").open("a") as runs:
    runs.write(os.environ["KUBERNETES_EXEC_INFO"] + os.environ["FLAVOUR"] + "\\n")
token = (here / "token").read_text()
if not token:
    sys.exit("please log in first")
print(json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status":
      {"token": token, "expirationTimestamp": "2099-01-01T00:00:00Z"}}))
"""


async def test_the_plugin_of_a_kubeconfig_gives_the_token(tmp_path: Path) -> None:
    plugin, token = tmp_path / "plugin.py", tmp_path / "token"
    plugin.write_text(PLUGIN)
    token.write_text("first")
    spec = {
        "apiVersion": "client.authentication.k8s.io/v1", "command": sys.executable, "args": ["-I", str(plugin)],
        "env": [{"name": "FLAVOUR", "value": "vanilla"}], "interactiveMode": "IfAvailable",
    }  # fmt: skip
    async with kube_server(Cluster(tokens={"first": ("jane", [])})) as cluster:
        config = write_kubeconfig(tmp_path / "config", url(cluster), user={"exec": spec})
        async with connection(kubeconfig=str(config)) as service:
            await service.start()
            assert service.service_data()["user"] == "jane"
            runs = (tmp_path / "runs").read_text().splitlines()
            assert len(runs) == 1  # it is asked once, not for every request
            info, _, _ = runs[0].rpartition("vanilla")
            assert json.loads(info)["spec"] == {"interactive": False}
            token.write_text("second")
            cluster.tokens = {"second": ("jane", [])}  # the first is refused: the plugin is asked again, unnoticed
            await service.check_health()
            assert service.state == "connected"
            token.write_text("")
            cluster.tokens = {"third": ("jane", [])}
            status = await service.wait_until(lambda status: status.state == "auth_required")
            assert "exited with code 1: please log in first" in str(status.error)
            token.write_text("third")
            await service.wait_until(lambda status: status.state == "connected")


async def test_a_plugin_named_by_a_path_is_next_to_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    plugin = tmp_path / "bin" / "log-in"
    plugin.write_text(
        f"#!{sys.executable} -I\nimport sys; sys.exit('\\33[31mno ticket\\33[0m ' + ' '.join(sys.argv[1:]))\n"
    )
    plugin.chmod(0o755)
    spec = {"apiVersion": "client.authentication.k8s.io/v1", "command": "./bin/log-in", "args": ["--ttl", 8, True]}
    config = write_kubeconfig(tmp_path / "config", "http://127.0.0.1:9", user={"exec": spec})
    async with connection(kubeconfig=str(config)) as service:
        with pytest.raises(OperationError, match="exited with code 1: no ticket --ttl 8 true"):
            await service.start()
        assert service.state == "auth_required"


@pytest.mark.parametrize(
    "wrong", [{"args": "--ttl"}, {"args": [["a"]]}, {"env": [{"value": "1"}]}, {"env": {"A": "1"}}, {"env": ["A=1"]}]
)
async def test_a_plugin_that_is_written_wrongly_is_named(tmp_path: Path, wrong: dict[str, Any]) -> None:
    spec = {"apiVersion": "client.authentication.k8s.io/v1", "command": "true", **wrong}
    config = write_kubeconfig(tmp_path / "config", "http://127.0.0.1:9", user={"exec": spec})
    async with connection(kubeconfig=str(config)) as service:
        [key] = wrong
        with pytest.raises(
            OperationError, match=f"'{key}' of the kubeconfig's exec plugin is not a list of .*Next: fix"
        ):
            await service.start()
        assert service.state == "failed"


async def test_a_plugin_that_is_not_there(tmp_path: Path) -> None:
    spec = {
        "apiVersion": "client.authentication.k8s.io/v1beta1", "command": "no-such-plugin",
        "installHint": "install it with brew",
    }  # fmt: skip
    config = write_kubeconfig(tmp_path / "config", "http://127.0.0.1:9", user={"exec": spec})
    async with connection(kubeconfig=str(config)) as service:
        with pytest.raises(OperationError, match="'no-such-plugin' cannot be run: .*install it with brew"):
            await service.start()
        assert service.state == "failed"
        assert not service.last_error.retryable  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("user", "cluster", "state", "said"),
    [
        ({"tokenFile": "lost"}, {}, "auth_required", "there are no credentials for context 'dev': .*lost.* not found"),
        ({"tokenFile": "."}, {}, "auth_required", "there are no credentials for context 'dev': .*directory"),
        ({"client-certificate": "x"}, {}, "failed", "has client-certificate without client-key"),
        ({"client-key-data": "x"}, {}, "failed", "has client-key without client-certificate"),
        ({}, {"proxy-url": "proxy"}, "failed", "proxy-url of context 'dev' in .* cannot be used: .*proxy"),
        ({}, {"proxy-url": ["http://proxy"]}, "failed", "proxy-url of context 'dev'"),
    ],
)
async def test_what_a_kubeconfig_cannot_mean_is_named(
    tmp_path: Path, user: dict[str, Any], cluster: dict[str, Any], state: str, said: str
) -> None:
    config = write_kubeconfig(tmp_path / "config", "http://127.0.0.1:9", user=user, **cluster)
    async with connection(kubeconfig=str(config)) as service:
        with pytest.raises(OperationError, match=said):
            await service.start()
        assert service.state == state


async def test_a_home_that_does_not_exist_is_named() -> None:
    async with connection(kubeconfig="~no-such-user/config") as service:
        with pytest.raises(OperationError, match="there is no kubeconfig '~no-such-user/config'"):
            await service.start()


async def test_a_missing_extra_is_named_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightkube.config.kubeconfig", None)
    config = write_kubeconfig(tmp_path / "config", "http://127.0.0.1:9")
    async with connection(kubeconfig=str(config)) as service:
        with pytest.raises(OperationError) as caught:
            await service.start()
        assert "need. Next: in Ostler's checkout, pip install '.[kubernetes]'" in str(caught.value)
        assert service.state == "failed"


# -- kubeconfigs, read as kubectl reads them -----------------------------------------------------------------


def test_several_files_are_merged_and_the_first_wins(tmp_path: Path) -> None:
    authority: dict[str, Any] = {"certificate-authority": "ca.crt"}
    one = write_kubeconfig(tmp_path / "one" / "config", "https://one", **authority)
    two = write_kubeconfig(tmp_path / "two" / "config", "https://two")
    text = two.read_text().replace('"prod"', '"extra"').replace('"c"', '"c2"').replace('"dev"', '"other"', 1)
    two.write_text(text)
    environment = {"KUBECONFIG": os.pathsep.join(map(str, (tmp_path / "absent", one, two)))}
    access = read_access(None, None, environment)
    assert (access.context, access.server) == ("dev", "https://one")
    assert access.cluster["certificate-authority"] == str(tmp_path / "one" / "ca.crt")
    access = read_access(None, "extra", environment)
    assert (access.context, access.server, access.namespace) == ("extra", "https://two", "shop")


def test_the_home_folder_has_the_usual_one(tmp_path: Path) -> None:
    write_kubeconfig(tmp_path / ".kube" / "config", "https://home")
    assert read_access(None, None, {"HOME": str(tmp_path)}).server == "https://home"


@pytest.mark.parametrize(
    ("text", "context", "expected"),
    [
        ("{", None, "cannot be read"),
        ("[]", None, "is not a kubeconfig"),
        ("clusters: []", None, "has no current context"),
        ("{current-context: a}", None, "has no context 'a'; it has none"),
        ("contexts: [{name: prod, context: {cluster: c}}]", "prdo", "did you mean 'prod'?"),
        ("contexts: [{name: prod, context: {cluster: c}}]", "prod", "has no cluster 'c'"),
        ("{contexts: [{name: p, context: {cluster: c}}], clusters: [{name: c, cluster: {}}]}", "p", "names no server"),
        ("{contexts: [{name: p, context: {cluster: c, user: u}}], clusters: [{name: c, cluster: {server: s}}]}", "p",
         "has no user 'u'"),
        ("contexts: what", "p", "has no context 'p'"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_kubeconfig_is_said(tmp_path: Path, text: str, context: str | None, expected: str) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(KubeTroubleError) as caught:
        read_access(str(tmp_path / "config"), context, {})
    assert expected in caught.value.reason
    assert caught.value.next_actions


class Attempts(SupervisedService):
    """Attempts that end as `outcomes` say, each when it is let."""

    def __init__(self, *outcomes: str) -> None:
        manifest = {"apiVersion": "ostler/v1", "kind": "KubeConnection", "metadata": {"name": "cluster"}}
        super().__init__(KubeConnection.model_validate(manifest), World({}, SystemClock()))
        self.let = anyio.Event()
        self._outcomes = list(outcomes)

    async def _attempt(self) -> None:
        await self.let.wait()
        if self._outcomes.pop(0) == "lost":
            raise KubeTroubleError("the API server is gone")
        self._connected()
        await anyio.sleep_forever()


@pytest.mark.parametrize("outcome", ["connected", "lost"])
async def test_an_attempt_that_ends_as_a_stop_comes_does_not_undo_it(outcome: str) -> None:
    service = Attempts(outcome, "connected")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service.run)
        await anyio.wait_all_tasks_blocked()
        service.let.set()
        await service.stop()
        assert service.state == "stopped"
        await service.start()
        assert service.state == "connected"
        service.close()


async def test_a_restart_does_not_report_the_loss_that_came_before_it() -> None:
    service = Attempts("lost", "connected")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service.run)
        await anyio.wait_all_tasks_blocked()
        service.let.set()
        await service.restart()
        assert service.state == "connected"
        service.close()
