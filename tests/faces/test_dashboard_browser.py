"""The dashboard in a real browser over the real engine: live, steered by hand and keyboard; hostile texts are texts."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.support.dashboard_stage import TOKEN, Stage, Thing, open_stage

from ostler.model.errors import OperationError
from ostler.model.records import OperationKind
from ostler.model.states import ServiceState

pytestmark = pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed")

HOSTILE = "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>"
APP_HOST = Path(__file__).parents[1] / "support" / "app_host" / "host.mjs"
NPM_TOOLS = Path(__file__).parents[2] / ".npm-tools" / "node_modules"


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with open_stage() as stage:
        yield stage


def npm_package(path: str) -> Path:
    """Return a file of an npm package; the test is skipped where it was not installed, except in CI."""
    file = NPM_TOOLS / path
    if not file.exists() and not os.environ.get("CI"):
        pytest.skip(f"{path} is not in .npm-tools; python3 tests/run.py installs it")
    return file


def row(page: Page, name: str) -> Any:
    return page.locator(f'[role=row]:has([data-service="{name}"])')


def test_services_are_steered_within_the_policy_and_what_others_do_is_shown(stage: Stage) -> None:
    stage.create("shop", lease=3600.0)
    with stage.page() as page:
        expect(row(page, "shop")).to_contain_text("running")
        expect(row(page, "shop")).to_contain_text("lease")
        stage.operate("shop", OperationKind.STOP)  # another client's doing
        expect(row(page, "shop")).to_contain_text("stopped")
        row(page, "shop").click()
        panel = page.get_by_role("complementary")
        panel.get_by_role("button", name="Start", exact=True).click()
        expect(row(page, "shop")).to_contain_text("running")
        panel.get_by_role("button", name="Stop", exact=True).click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        expect(row(page, "shop")).to_contain_text("running")
        stage.app.denied.add("service_restart")
        panel.get_by_role("button", name="Restart").click()
        page.get_by_role("dialog").get_by_role("button", name="Restart").click()
        expect(page.locator(".notice.bad")).to_contain_text("denied by the policy")
        stage.app.denied.clear()
        stage.app.confirmed.add("ostler/service_restart")
        for answer, outcome in (("Cancel", "bad"), ("Yes, do it", "good")):
            panel.get_by_role("button", name="Restart").click()
            page.get_by_role("dialog").get_by_role("button", name="Restart").click()
            question = page.get_by_role("dialog").filter(has_text="The policy of this server has a person confirm it")
            question.get_by_role("button", name=answer).click()
            expect(page.locator(f".notice.{outcome}").last).to_contain_text("restart")
        stage.app.confirmed.clear()
        panel.get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(row(page, "shop")).to_have_count(0)
        expect(panel).to_have_count(0)
        page.keyboard.press("3")
        expect(page.get_by_role("region", name="Events")).to_contain_text("service deleted")


def test_hostile_names_outputs_log_lines_and_answers_are_text(stage: Stage) -> None:
    stage.create("target", purpose=HOSTILE, owner=HOSTILE)
    stage.app.logs["target"] = [HOSTILE, "javascript:alert(1)"]
    hostile = Thing(HOSTILE, HOSTILE, dependencies=["target", HOSTILE * 2], state=ServiceState.UNKNOWN)
    stage.register(hostile)
    try:
        with stage.page() as page:
            expect(page.get_by_role("row", name=HOSTILE)).to_be_visible()
            row(page, "target").click()
            expect(page.locator(".facts").first).to_contain_text(HOSTILE)
            page.keyboard.press("l")
            expect(page.get_by_role("log")).to_contain_text(HOSTILE)
            page.get_by_role("complementary").get_by_role("searchbox").fill("<img")
            page.keyboard.press("Enter")
            expect(page.get_by_role("log").locator("mark")).to_have_text("<img")
            page.get_by_role("row", name=HOSTILE).click()
            page.keyboard.press("e")
            expect(page.get_by_role("complementary")).to_contain_text(HOSTILE)
            page.keyboard.press("2")
            expect(page.locator("svg")).to_contain_text(HOSTILE[:10])
            assert page.locator("img, #app script").count() == 0
    finally:
        stage.unregister(hostile.name)


def test_a_service_that_waits_for_a_person_is_a_problem_and_shows_why(stage: Stage) -> None:
    held = Thing("held", "Thing", state=ServiceState.UNKNOWN)
    stage.register(held, Thing("unseen", "Thing", state=ServiceState.UNKNOWN))

    async def ask() -> None:
        held.set_error(OperationError("no tool can show whether it was started"))

    stage.run(ask)
    try:
        with stage.page() as page:
            page.get_by_role("button", name="Problems").click()
            expect(row(page, "held")).to_contain_text("no tool can show whether it was started")
            page.get_by_role("button", name="Not running").click()
            expect(row(page, "unseen")).to_be_visible()
            expect(row(page, "held")).to_have_count(0)
            row(page, "unseen").click()
            page.keyboard.press("v")
            expect(page.get_by_role("tabpanel")).to_have_text("No events.")
    finally:
        stage.unregister("held", "unseen")


def test_the_keyboard_alone_moves_opens_explains_and_closes(stage: Stage) -> None:
    for name in ("ka", "kb"):
        stage.create(name)
    with stage.page() as page:
        expect(row(page, "ka")).to_be_visible()
        page.keyboard.press("/")
        page.keyboard.type("k")
        expect(page.get_by_role("searchbox", name="Search services")).to_have_value("k")
        page.keyboard.press("Tab")
        page.locator('[data-service="ka"]').focus()
        page.keyboard.press("ArrowDown")
        expect(page.locator('[data-service="kb"]')).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("complementary", name="Service kb")).to_be_visible()
        page.keyboard.press("e")
        expect(page.get_by_role("tab", name="Explain")).to_have_attribute("aria-selected", "true")
        expect(page.get_by_role("tabpanel")).to_contain_text(re.compile("kb|Nothing is wrong"))
        page.keyboard.press("Escape")
        expect(page.get_by_role("complementary")).to_have_count(0)
        expect(page.locator('[data-service="kb"]')).to_be_focused()
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_contain_text("search")


def test_of_two_thousand_services_those_in_view_are_in_the_document(stage: Stage) -> None:
    names = [f"many-{index:04}" for index in range(2_000)]
    stage.register(*(Thing(name, "Thing") for name in names))
    try:
        with stage.page() as page:
            page.get_by_role("searchbox", name="Search services").fill("many")
            expect(page.get_by_role("table")).to_have_attribute("aria-rowcount", "2001")
            assert page.locator(".row").count() < 60
            page.locator('[data-service="many-0000"]').focus()
            page.keyboard.press("End")
            expect(row(page, "many-1999")).to_be_in_viewport()
            assert page.locator(".row").count() < 60
    finally:
        stage.unregister(*names)


def test_a_link_opens_the_page_once_then_a_token_is_asked_for_and_a_lost_server_is_found_again(stage: Stage) -> None:
    stage.create("talker")
    stage.app.logs["talker"] = ["a first line"]
    used = f"#code={stage.codes.make()}"
    with stage.page(used) as page:
        expect(page.locator(".link")).to_have_text("Live")
        assert "code" not in page.url
        page.reload()
        expect(page.locator(".link")).to_have_text("Live")
    browsing = stage.browser.new_context()
    try:
        page = browsing.new_page()
        page.goto(f"{stage.url}/{used}")
        expect(page.get_by_role("heading", name="A token is needed")).to_be_visible()
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Open").click()
        expect(page.locator(".link")).to_have_text("Live")
        row(page, "talker").click()
        page.keyboard.press("l")
        expect(page.get_by_role("log")).to_contain_text("a first line")
        browsing.set_offline(True)
        expect(page.locator(".trouble")).to_contain_text("does not answer")
        browsing.set_offline(False)
        expect(page.get_by_role("log")).to_contain_text("a first line")
    finally:
        browsing.close()


@pytest.mark.npm
def test_axe_finds_no_barrier_in_any_view_and_all_fit_a_phone(stage: Stage) -> None:
    stage.create("needed")
    stage.register(needing := Thing("needing", "Thing", dependencies=["needed"]))
    stage.app.logs["needed"] = ["a line"]
    axe = npm_package("axe-core/axe.min.js").read_text(encoding="utf-8")
    found: dict[str, Any] = {}
    try:
        for scheme, width, keys, rules in (("light", 1200, "le23?", None), ("dark", 360, "ol23", ["color-contrast"])):
            with stage.page(color_scheme=scheme, bypass_csp=True) as page:
                page.set_viewport_size({"width": width, "height": 700})
                row(page, "needed").click()
                page.evaluate(axe)
                for key in keys:
                    page.keyboard.press(key)
                    result = page.evaluate("rules => axe.run(rules ? {runOnly: rules} : {})", rules)
                    assert page.evaluate("document.documentElement.scrollWidth") <= width, (scheme, key)
                    for broken in result["violations"]:
                        found[f"{scheme} {key} {broken['id']}"] = [node["html"][:200] for node in broken["nodes"]]
    finally:
        stage.unregister(needing.name)
    assert found == {}


@pytest.mark.npm
def test_a_host_of_mcp_apps_shows_the_page_with_an_answer_live_and_lets_it_act(stage: Stage) -> None:
    stage.create("chat", lease=3600.0)
    with stage.watched_page() as page:
        page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
        page.goto(f"{stage.url}/healthz")  # any page whose policy lets it be a host
        page.add_script_tag(content=bundled_host())
        asked = {"url": f"{stage.url}/mcp", "token": TOKEN, "tool": "service_status", "args": {"name": "chat"}}
        assert page.evaluate("show", {**asked, "theme": "dark"}) == "text/html;profile=mcp-app"
        frame = page.frame_locator("iframe")
        panel = frame.get_by_role("complementary", name="Service chat")
        expect(panel).to_contain_text("running")
        expect(frame.locator("html")).to_have_attribute("data-theme", "dark")
        assert page.locator("iframe").evaluate("frame => frame.clientHeight") == 480
        stage.operate("chat", OperationKind.STOP)
        expect(panel.locator(".state").first).to_have_text(re.compile("stopped"))
        panel.get_by_role("button", name="Start", exact=True).click()
        expect(panel.locator(".state").first).to_have_text(re.compile("running"))
        frame.get_by_role("button", name="Enlarge").click()
        expect(frame.get_by_role("button", name="Enlarge")).to_have_count(0)
        assert page.evaluate("asked") == [["mode", "fullscreen"]]
        page.evaluate("bridge.setHostContext({theme: 'light'})")
        expect(frame.locator("html")).to_have_attribute("data-theme", "light")
        page.evaluate("bridge.teardownResource({})")


def bundled_host() -> str:
    """Return the host's script with the packages that it is made of."""
    npm_package("@modelcontextprotocol/ext-apps/package.json")
    command = [NPM_TOOLS / ".bin" / "esbuild", APP_HOST, "--bundle", "--format=iife", "--log-level=error"]
    environment = {**os.environ, "NODE_PATH": str(NPM_TOOLS)}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
