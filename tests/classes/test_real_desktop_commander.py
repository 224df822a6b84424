"""The class desktop-commander-process, run for real through the npm server whose answers are prose."""

import sys
from pathlib import Path
from urllib.request import urlopen

import anyio.to_thread
import psutil
import pytest
from tests.support.ports import free_port
from tests.support.shipped import create, npm_program, open_ostler, until_gone, until_health

from ostler.engine.services.views import CreateRequest
from ostler.model.errors import OstlerError

pytestmark = [pytest.mark.anyio, pytest.mark.realtime, pytest.mark.npm]


def fetch(url: str) -> bytes:
    with urlopen(url, timeout=60) as answer:
        return answer.read()


async def test_a_web_server_through_desktop_commander(tmp_path: Path) -> None:
    home, site = tmp_path / "home", tmp_path / "it's a site"
    home.mkdir()
    site.mkdir()
    (site / "index.html").write_text("<h1>from desktop-commander</h1>")
    entry = {
        "command": npm_program("desktop-commander"),
        "args": ["--no-onboarding"],
        # dash as the shell: it does not become the last program of a list on its own
        "env": {"HOME": str(home), "DESKTOP_COMMANDER_DISABLE_TELEMETRY": "true", "SHELL": "/bin/sh"},
    }
    async with open_ostler(tmp_path, servers={"desktop-commander": entry}) as app:
        manager = app.manager
        port = free_port()
        outputs = await create(
            manager,
            "desktop-commander-process",
            "site",
            command=f"PYTHONUNBUFFERED=1 {sys.executable} -m http.server {port} --bind 127.0.0.1",
            directory=str(site),
            readyLog="Serving HTTP on",
            watch=200,
        )
        pid = outputs["pid"]
        assert psutil.Process(pid).cmdline()[0] == sys.executable  # the program itself, not a shell around it
        page = await anyio.to_thread.run_sync(fetch, f"http://127.0.0.1:{port}/")
        assert page == b"<h1>from desktop-commander</h1>"
        await until_health(manager, "site", "healthy")
        assert any("Serving HTTP" in line for line in (await app.service_logs("site")).lines)

        # it dies: the status tool shows it, and the restart policy brings it back
        psutil.Process(pid).kill()
        await until_health(manager, "site", "unknown")
        with anyio.fail_after(60):
            while manager.view("site").restarts == 0:
                await anyio.sleep(0.05)
        again = manager.view("site").outputs["pid"]
        assert again != pid
        stopped = await manager.stop_service("site")
        assert stopped.service.state.value == "stopped"
        await until_gone([pid, again], within=0)

        # a program that is not there is told in the shell's own words, at once, and leaves nothing; a command that
        # desktop-commander refuses to run stays refused
        for command, words in {
            "no-such-program-x": "no-such-program-x.*: No such file or directory",
            "A=1 sudo true": "Command not allowed",
        }.items():
            class_name = "desktop-commander-process"
            with pytest.raises(OstlerError, match=words):
                await manager.create(CreateRequest(class_name, "broken", {"command": command, "watch": 10000}))
            assert "broken" not in manager.registry
