"""The classes jupyter, browser, ssh-tunnel and sqlite-demo, run for real through the process server."""

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import anyio
import anyio.to_thread
import psutil
import pytest
from tests.support.shipped import (
    create,
    jupyter_program,
    npm_program,
    open_ostler,
    program,
    until_gone,
    until_health,
    until_restarted,
)

from ostler.engine.services.views import CreateRequest
from ostler.model.errors import OstlerError

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]

TOKEN = "our-own-token-1234"


def http(url: str, method: str = "GET", body: str | None = None, token: str = "") -> tuple[int, Any]:
    headers = {"Authorization": f"token {token}"} if token else {}
    request = Request(url, None if body is None else body.encode(), headers, method=method)
    try:
        with urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except HTTPError as error:
        error.close()
        return error.code, None


async def fetch(*words: Any, **more: Any) -> tuple[int, Any]:
    return await anyio.to_thread.run_sync(lambda: http(*words, **more))


async def test_the_sqlite_demo_keeps_its_notes(tmp_path: Path) -> None:
    async with open_ostler(tmp_path) as app:
        manager = app.manager
        outputs = await create(manager, "sqlite-demo", "notes", dataFile=str(tmp_path / "deep" / "notes.sqlite"))
        url = outputs["url"]
        assert await fetch(url, "POST", "first ü") == (201, {"id": 1, "text": "first ü"})
        assert await fetch(url, "POST", "second") == (201, {"id": 2, "text": "second"})
        assert await fetch(f"{url}1", "DELETE") == (200, {"deleted": 1})
        assert (await fetch(f"{url}1", "DELETE"))[0] == 404
        await until_health(manager, "notes", "healthy")
        psutil.Process(outputs["pid"]).kill()
        await until_restarted(manager, "notes")
        again = manager.reveal("notes")[1]
        assert (again["url"], again["pid"] != outputs["pid"]) == (url, True)
        assert await fetch(url) == (200, [{"id": 2, "text": "second"}])
        await manager.delete("notes")
        await until_gone([again["pid"]], within=0)


async def test_jupyter_asks_for_its_token(tmp_path: Path) -> None:
    jupyter = jupyter_program()
    (tmp_path / "work").mkdir()
    common: dict[str, Any] = {
        "directory": str(tmp_path / "work"),
        "application": "server",
        "program": jupyter,
        "allowRoot": os.geteuid() == 0,
    }
    async with open_ostler(tmp_path, within=150) as app:
        manager = app.manager
        made_up = await create(manager, "jupyter", "one", **common)
        token = made_up["token"]
        assert len(token) >= 16
        assert (await fetch(f"{made_up['url']}api/status"))[0] == 403
        assert (await fetch(f"{made_up['url']}api/status", token=token))[0] == 200
        shown = manager.view("one")
        assert token not in f"{shown.outputs}{await app.service_logs('one')}"
        await until_health(manager, "one", "healthy")

        given = await create(manager, "jupyter", "two", token=TOKEN, **common)
        assert (given["token"], given["urlWithToken"]) == (TOKEN, f"{given['url']}?token={TOKEN}")
        assert (await fetch(f"{given['url']}api/status", token=TOKEN))[0] == 200
        assert TOKEN not in " ".join(psutil.Process(given["pid"]).cmdline())
        await manager.delete("one")
        await manager.delete("two")
        await until_gone([made_up["pid"], given["pid"]], within=0)


async def test_a_browser_can_be_driven(tmp_path: Path) -> None:
    program("chromium", "chromium-browser", "google-chrome")
    (tmp_path / "page.html").write_text("<title>a page of its own</title>")
    args = {
        "page": (tmp_path / "page.html").as_uri(),
        "profile": str(tmp_path / "the profile"),
        "windowSize": "640,480",
        "sandbox": os.geteuid() != 0,
        "arguments": ["--disable-gpu", "--lang=de"],
    }
    async with open_ostler(tmp_path, within=150) as app:
        manager = app.manager
        outputs = await create(manager, "browser", "web", **args)
        _, version = await fetch(f"{outputs['url']}/json/version")
        assert version["webSocketDebuggerUrl"] == outputs["webSocketUrl"]
        with anyio.fail_after(30):
            while "a page of its own" not in [page["title"] for page in (await fetch(f"{outputs['url']}/json"))[1]]:
                await anyio.sleep(0.05)
        await until_health(manager, "web", "healthy")
        family = [process.pid for process in psutil.Process(outputs["pid"]).children(recursive=True)]
        assert len(family) > 1
        stopped = await manager.stop_service("web")
        assert stopped.service.state.value == "stopped"
        await until_gone([outputs["pid"], *family])
        assert (tmp_path / "the profile" / "Default").is_dir()


async def run(*command: str) -> None:
    await anyio.run_process([*command])


async def test_a_tunnel_through_ssh(tmp_path: Path) -> None:
    program("ssh")
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin") or program("sshd")
    await run(program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "host"))
    await run(program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key"))
    (tmp_path / "authorized_keys").write_text((tmp_path / "key.pub").read_text())
    options = {
        "HostKey": tmp_path / "host",
        "AuthorizedKeysFile": tmp_path / "authorized_keys",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "AllowTcpForwarding": "yes",
    }
    (tmp_path / "sshd.conf").write_text("".join(f"{name} {value}\n" for name, value in options.items()))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where sshd locks its unprivileged part away
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.json").write_text('"through the tunnel"')
    async with open_ostler(tmp_path, within=150) as app:
        manager = app.manager
        site = await create(manager, "static-web-server", "site", directory=str(tmp_path / "site"))
        server = await create(
            manager,
            "command",
            "sshd",
            command=sshd,
            arguments=["-D", "-e", "-f", str(tmp_path / "sshd.conf"), "-o", "ListenAddress=127.0.0.1:{port}"],
            port=0,
            readyTcp="{port}",
        )
        known = tmp_path / "known_hosts"
        args: dict[str, Any] = {
            "destination": f"{await whoami()}@127.0.0.1",
            "remoteHost": "127.0.0.1",
            "remotePort": site["port"],
            "sshPort": server["port"],
            "identityFile": str(tmp_path / "key"),
            "knownHostsFile": str(known),
        }
        with pytest.raises(OstlerError, match="Host key verification failed"):
            await manager.create(CreateRequest("ssh-tunnel", "unknown", args))
        kind, key = (tmp_path / "host.pub").read_text().split()[:2]
        known.write_text(f"[127.0.0.1]:{server['port']} {kind} {key}\n")

        await manager.create(CreateRequest("ssh-tunnel", "", args))
        name = f"tunnel-{site['port']}"
        tunnel = manager.reveal(name)[1]
        assert tunnel["address"] == f"127.0.0.1:{tunnel['port']}"
        assert await fetch(f"http://{tunnel['address']}/index.json") == (200, "through the tunnel")
        await until_health(manager, name, "healthy")

        # the other side goes away and comes back: so does the tunnel, at its old address
        await manager.restart_service("sshd")
        await until_restarted(manager, name)
        assert await fetch(f"http://{tunnel['address']}/index.json") == (200, "through the tunnel")
        pid = manager.reveal(name)[1]["pid"]
        await manager.delete(name)
        await until_gone([pid], within=0)


async def whoami() -> str:
    done = await anyio.run_process(["id", "-un"])
    return done.stdout.decode().strip()


@pytest.mark.npm
async def test_portless_names_a_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    portless = npm_program("portless")
    state, site = tmp_path / "portless", tmp_path / "site"
    site.mkdir()
    (site / "node_modules").symlink_to(Path(portless).parents[1])
    (site / "page.json").write_text('{"page": 1}')
    monkeypatch.setenv("PORTLESS_STATE_DIR", str(state))
    monkeypatch.setenv("PORTLESS_SYNC_HOSTS", "0")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    async with open_ostler(tmp_path) as app:
        served = await create(app.manager, "static-web-server", "files", directory=str(site))
        args = {"host": "web.shop", "port": served["port"], "directory": str(site), "stateDirectory": str(state)}
        with pytest.raises(OstlerError, match=r"the proxy of portless does not run. Next: portless proxy start"):
            await create(app.manager, "portless", "address", **args)
        words = (portless, "proxy", "start", "--foreground", "--no-tls", "--port", port)
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as proxy:
            assert proxy.stdout is not None
            assert any("proxy listening on 127.0.0.1" in line for line in proxy.stdout)
            outputs = await create(app.manager, "portless", "address", **args)
            assert outputs["url"] == f"http://web.shop.localhost:{port}"
            through_proxy = Request(
                f"http://127.0.0.1:{port}/page.json", headers={"Host": f"web.shop.localhost:{port}"}
            )
            assert await anyio.to_thread.run_sync(lambda: urlopen(through_proxy, timeout=60).read()) == b'{"page": 1}'
            assert "web.shop.localhost" in (state / "routes.json").read_text()
            await app.manager.delete("address")
            assert json.loads((state / "routes.json").read_text()) == []
            proxy.terminate()
