"""The dashboard in a real browser: how soon a change shows, and how 2,000 services feel."""

import time
from typing import Any

from playwright.sync_api import Page
from tests.support.dashboard_stage import Stage, Thing, open_stage

from benchmarks.figures import row, title
from ostler.model.events import Event, EventKind
from ostler.model.records import OperationKind

WATCHED = "watched"
SERVICES = 2_000

WATCH = """name => {
  const cell = document.querySelector(`[role=row]:has([data-service="${name}"]) .condition`);
  globalThis.seen = [];
  new MutationObserver(() => seen.push([cell.textContent.slice(1), performance.timeOrigin + performance.now()]))
    .observe(cell, {subtree: true, childList: true, characterData: true});
}"""

SCROLL = """async () => {
  const scroller = document.querySelector('.table .scroller');
  const frames = [];
  let before = performance.now();
  for (let step = 0; step < 120; step += 1) {
    scroller.scrollTop += scroller.scrollHeight / 130;
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    frames.push(now - before);
    before = now;
  }
  return frames;
}"""


def main(rounds: int) -> None:
    """Print how long the page takes, with a few services and with thousands."""
    with open_stage() as stage:
        stage.create(WATCHED)
        title("From an event of the engine to the page, by a browser's clock")
        print(row("1 service", _latencies(stage, rounds)))
        things = [Thing(f"many-{index:04}", "Thing") for index in range(SERVICES)]
        stage.register(*things)
        print(row(f"{SERVICES + 1} services", _latencies(stage, rounds)))
        title(f"The page with {SERVICES} services")
        print(row("opened until the first rows are there", [_opened(stage) for _ in range(5)]))
        with stage.page() as page:
            page.locator(".row").first.wait_for()
            print(row("a frame while scrolling through all", page.evaluate(SCROLL), scale=1.0))
            print(row("a search: typed until filtered", [_searched(page, str(each)) for each in range(10)]))


def _latencies(stage: Stage, rounds: int) -> list[float]:
    happened: list[tuple[str, float]] = []

    def note(event: Event) -> None:
        if event.service == WATCHED and event.kind is EventKind.STATE_CHANGED:
            happened.append((event.message.rpartition(" ")[2], time.time()))

    async def subscribe() -> Any:
        return stage.app.manager.events.subscribe(note)

    with stage.page() as page:
        page.get_by_role("searchbox", name="Search services").fill(WATCHED)
        page.locator(f'[data-service="{WATCHED}"]').wait_for()
        page.wait_for_timeout(500)
        page.evaluate(WATCH, WATCHED)
        leave = stage.run(subscribe)
        found: list[float] = []
        for number in range(rounds):
            happened.clear()
            page.evaluate("seen.length = 0")
            kind, state = (OperationKind.START, "running") if number % 2 else (OperationKind.STOP, "stopped")
            stage.operate(WATCHED, kind)
            page.wait_for_function("state => seen.some(([text]) => text === state)", arg=state)
            shown = next(at for text, at in page.evaluate("seen") if text == state)
            found.append(shown / 1000 - next(at for text, at in happened if text == state))
        stage.run(_left, leave)
    return found


async def _left(leave: Any) -> None:
    leave()


def _opened(stage: Stage) -> float:
    began = time.perf_counter()
    with stage.page() as page:
        page.locator(".row").nth(10).wait_for()
        return time.perf_counter() - began


def _searched(page: Page, text: str) -> float:
    box = page.get_by_role("searchbox", name="Search services")
    box.fill("")
    page.locator('.table[aria-rowcount="2002"]').wait_for()
    began = time.perf_counter()
    box.fill(f"many-1{text}99")
    page.locator('.table[aria-rowcount="2"]').wait_for()
    return time.perf_counter() - began
