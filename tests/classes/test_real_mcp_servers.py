"""Classes over MCP servers from npm, run for real: Playwright's with a browser, Supabase's with an API of our own."""

import json
import os
import re
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.support.shipped import MCP_SERVERS, create, npm_program, open_ostler, program, until_health

pytestmark = [pytest.mark.anyio, pytest.mark.realtime, pytest.mark.npm]


async def test_a_browser_through_playwright(tmp_path: Path) -> None:
    server = npm_program("playwright-mcp", MCP_SERVERS)
    chromium = program("chromium", "chromium-browser", "google-chrome")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    options = ["--headless", "--isolated", "--browser", "chromium", "--executable-path", chromium, *sandbox]
    entry = {"command": server, "args": options, "cwd": str(tmp_path)}
    async with open_ostler(tmp_path, servers={"playwright": entry}, within=150) as app:
        manager = app.manager
        url = "data:text/html,<title>a page of its own</title><h1>hello</h1>"
        outputs = await create(manager, "playwright-browser", "web", url=url)
        assert outputs == {"url": url, "title": "a page of its own"}
        await until_health(manager, "web", "healthy")
        await app.pool.call_tool("playwright/browser_close", {})
        assert (await manager.check_health("web")).health_failures == 1
        await manager.delete("web")
        empty = await app.pool.call_tool("playwright/browser_snapshot", {"depth": 1})
        assert "- Page URL: about:blank" in empty.text


class SupabaseApi(BaseHTTPRequestHandler):
    """The part of Supabase's management API that branches need; a branch is there at the third look."""

    branches: dict[str, dict[str, Any]]
    fails: bool

    def do_GET(self) -> None:
        self.answer(self.path, "GET")

    def do_POST(self) -> None:
        self.answer(self.path, "POST")

    def do_DELETE(self) -> None:
        self.answer(self.path, "DELETE")

    def answer(self, path: str, method: str) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        path = path.partition("?")[0]
        status, value = 404, {"message": f"no {method} {path}"}
        if path == "/v1/projects/abcdefghij/branches" and method == "POST":
            status, value = 201, self.made(str(body["branch_name"]))
        elif path == "/v1/projects/abcdefghij/branches":
            for branch in self.branches.values():
                done = "MIGRATIONS_FAILED" if self.fails else "MIGRATIONS_PASSED"
                branch["status"] = done if branch["status"] != "CREATING_PROJECT" else "RUNNING_MIGRATIONS"
            status, value = 200, list(self.branches.values())
        elif (found := re.fullmatch(r"/v1/branches/([\w-]+)", path)) and method == "DELETE":
            status, value = 200, {"message": self.branches.pop(found[1])["name"]}
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def made(self, name: str) -> dict[str, Any]:
        made: dict[str, Any] = {
            "id": "11111111-1111-4111-8111-111111111111",
            "name": name,
            "project_ref": "klmnopqrst",
            "parent_project_ref": "abcdefghij",
            "is_default": False,
            "persistent": False,
            "status": "CREATING_PROJECT",
            "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-01T00:00:00Z",
        }
        self.branches[made["id"]] = made
        return made

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (its name in the base class)
        """Stay silent."""


@contextmanager
def supabase_api(*, fails: bool = False) -> Generator[tuple[str, dict[str, dict[str, Any]]]]:
    """Serve the API on loopback; yields its address and the branches there are."""
    handler = type("Api", (SupabaseApi,), {"branches": {}, "fails": fails})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", handler.branches
        finally:
            server.shutdown()
            serving.join()


@pytest.mark.parametrize("fails", [False, True], ids=["passes", "fails"])
async def test_a_branch_through_supabase(tmp_path: Path, fails: bool) -> None:
    command = npm_program("mcp-server-supabase", MCP_SERVERS)
    with supabase_api(fails=fails) as (address, branches):
        token = "sbp_" + "0" * 40
        options = [f"--access-token={token}", f"--api-url={address}", "--features=account,branching"]
        entry = {"command": command, "args": options}
        async with open_ostler(tmp_path, servers={"supabase": entry}, within=120) as app:
            manager = app.manager
            price = {"type": "branch", "recurrence": "hourly", "amount": 0.01344}
            confirmed = (await app.pool.call_tool("supabase/confirm_cost", price)).value
            args = {"projectId": "abcdefghij", "confirmCostId": confirmed["confirmation_id"]}
            if fails:
                with pytest.raises(Exception, match="cleaned up with supabase/delete_branch"):
                    await create(manager, "supabase-branch", "trial", **args)
                assert branches == {}
                return
            outputs = await create(manager, "supabase-branch", "trial", **args)
            assert outputs == {
                "branchId": "11111111-1111-4111-8111-111111111111",
                "projectRef": "klmnopqrst",
                "url": "https://klmnopqrst.supabase.co",
            }
            assert [branch["name"] for branch in branches.values()] == ["trial"]
            await until_health(manager, "trial", "healthy")
            await manager.delete("trial")
            assert branches == {}
