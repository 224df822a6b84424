"""Screenshots of the dashboard, for people: each view in light and dark, wide and on a phone, and of 2,000 services."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page
from tests.support.dashboard_stage import Stage, Thing, open_stage

from benchmarks.figures import title
from ostler.model.errors import OperationError
from ostler.model.records import OperationKind
from ostler.model.states import HealthStatus, ServiceState

FOLDER = Path(".screenshots")
SERVICES = 2_000

_LONG = "worker-with-a-very-long-name-that-goes-on-and-on-and-on.shop"
_SCREENS = {
    "light": ("light", 1200, 700),
    "dark": ("dark", 1200, 700),
    "phone": ("light", 375, 720),
    "phone-dark": ("dark", 375, 720),
}
_VIEWS = {"services": "", "graph": "2", "timeline": "3", "help": "?"}
_PANELS = {"overview": "o", "logs": "l", "explain": "e", "events": "v"}
_DRAWN = 500
"""Milliseconds until what was asked for is drawn, with its answer from the server."""


def main(folder: Path = FOLDER) -> None:
    """Write the pictures into `folder`, which git ignores."""
    title(f"Screenshots of the dashboard, in {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    with open_stage() as stage:
        things = _stage_all(stage)
        for screen, (scheme, width, height) in _SCREENS.items():
            with _opened(stage, scheme, width, height) as page:
                for view, key in _VIEWS.items():
                    _press(page, key)
                    page.screenshot(path=folder / f"{screen}-{view}.png")
                _press(page, "Escape")
                _press(page, "1")
                for name in ("web", "broken"):
                    _take_panels(page, name, folder / f"{screen}-{name}")
        stage.register(*(Thing(f"many-{index:04}", "Thing") for index in range(SERVICES)))
        for screen, (scheme, width, height) in _SCREENS.items():
            with _opened(stage, scheme, width, height) as page:
                page.screenshot(path=folder / f"{screen}-many.png")
        stage.unregister(*(thing.name for thing in things))
    print(f"{len(list(folder.glob('*.png')))} pictures")


@contextmanager
def _opened(stage: Stage, scheme: str, width: int, height: int) -> Generator[Page]:
    with stage.page(color_scheme=scheme) as page:
        page.set_viewport_size({"width": width, "height": height})
        page.locator(".row").first.wait_for()
        page.wait_for_timeout(_DRAWN)
        yield page


def _take_panels(page: Page, service: str, begin: Path) -> None:
    """Take a picture of each panel of a service, into files whose names begin with `begin`."""
    page.locator(f'[data-service="{service}"]').first.click()
    for panel, key in _PANELS.items():
        _press(page, key)
        page.screenshot(path=begin.with_name(f"{begin.name}-{panel}.png"))
    _press(page, "Escape")


def _press(page: Page, key: str) -> None:
    if key:
        page.keyboard.press(key)
    page.wait_for_timeout(_DRAWN)


def _stage_all(stage: Stage) -> list[Thing]:
    """Put on the stage what a user may meet: what runs, what waits, and what is wrong."""
    for name in ("db", "web", _LONG):
        stage.create(name)
    stage.operate(_LONG, OperationKind.STOP)
    stage.app.logs["web"] = [f"GET /orders/{number} 200" for number in range(60)] + ["x" * 400]
    broken = Thing("broken", "PortForward", dependencies=["db"], state=ServiceState.FAILED)
    sick = Thing("sick", "MCPServer", dependencies=["db", "web"], state=ServiceState.RUNNING)
    waiting = Thing("waiting", "PortForward", dependencies=["broken"], state=ServiceState.WAITING)
    lost = Thing("lost", "KubeConnection", state=ServiceState.UNREACHABLE)
    held = Thing("held", "MCPServer", state=ServiceState.UNKNOWN)
    things = [broken, sick, waiting, lost, held]
    stage.register(*things)

    async def go_wrong() -> None:
        why = "start failed: port 5432 is held by postgres (pid 4711)"
        broken.set_error(OperationError(why, service="broken", next_actions=("stop what holds the port",)))
        held.set_error(OperationError("no tool can show whether its start was carried out"))
        sick.set_health(HealthStatus.UNHEALTHY, error=OperationError("its health check answered 503"))

    stage.run(go_wrong)
    return things
