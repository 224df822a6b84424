"""Runs the tests of a class: the real engine, step by step, over a scripted ToolCaller and in virtual time."""

import itertools
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from random import Random
from typing import assert_never

import anyio

from ostler.adapters.stores.memory import MemoryStore
from ostler.adapters.testing.results import Failure, Outcome, TestResult
from ostler.adapters.testing.scripted_caller import ScriptedCaller, StepCaller
from ostler.adapters.testing.stand_ins import add_stand_in
from ostler.adapters.testing.virtual_time import run_in_virtual_time
from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.clock import LoopClock
from ostler.engine.manager import ServiceManager
from ostler.engine.services.views import CreateRequest, OperationResult
from ostler.model.class_tests import ClassTest, StepExpectation, TestStep
from ostler.model.durations import format_duration
from ostler.model.errors import OstlerError
from ostler.model.json import JsonValue, KeyPath
from ostler.rules.loading.class_tests import LoadedTests
from ostler.rules.text.differences import differences, shown

SERVICE = "test"
"""The service's name when a test gives none."""

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_LONGEST = 30 * 86400.0
_PAUSE = 0.002
_HALF = 0.5


def run_class_tests(tests: LoadedTests, classes: Iterable[ClassEntry], only: str = "") -> list[TestResult]:
    """Run every test of a file and return how each went, in the file's order.

    Call it from a thread without a running event loop. It calls no tool and waits for nothing.

    Args:
        tests: the file.
        classes: the tested class and those that its dependencies need.
        only: run only the tests whose name has this text.
    """
    entries = list(classes)
    return [
        run_in_virtual_time(lambda index=index: TestRun(tests, index, entries).run())
        for index, test in enumerate(tests.value.tests)
        if only in test.name
    ]


class _Middle(Random):
    """Always in the middle, so that jitter does not move the times that a test names."""

    def random(self) -> float:
        return _HALF


class TestRun:
    """One run of one test."""

    __test__ = False
    _longest = _LONGEST
    _persist = True

    def __init__(
        self, tests: LoadedTests, index: int, entries: list[ClassEntry], caller: StepCaller | None = None
    ) -> None:
        self._tests = tests
        self._index = index
        self._test: ClassTest = tests.value.tests[index]
        self._entries = entries
        file = tests.value
        self.name = self._test.service or file.service or SERVICE
        self._args = {**file.args, **self._test.args}
        self._env = {**file.env, **self._test.env}
        self._services = {s.name: s for s in (*file.services, *self._test.services)}
        self._caller: StepCaller = caller or ScriptedCaller(
            {**file.answers, **self._test.answers}, [entry.service_class for entry in entries]
        )
        self._store = MemoryStore()
        self._ids: Iterator[int] = itertools.count(1)
        self._failures: list[Failure] = []

    async def run(self) -> TestResult:
        began = anyio.current_time()
        with anyio.move_on_after(self._longest) as scope:
            await self._steps()
        if scope.cancelled_caught:
            self._fail(("name",), f"the test did not end within {format_duration(self._longest)}")
        line = self._tests.document.locate(("tests", self._index))[0]
        return TestResult(
            self._tests.value.service_class,
            self._test.name,
            self._tests.file,
            line,
            tuple(self._failures),
            round(anyio.current_time() - began, 3),
        )

    @asynccontextmanager
    async def _manager(self) -> AsyncGenerator[ServiceManager]:
        manager = ServiceManager(
            self._caller,
            self._store,
            clock=LoopClock(_EPOCH),
            environment=self._env,
            rng=_Middle(),
            make_id=lambda: f"{next(self._ids):016x}",
        )
        manager.classes.replace(self._entries)
        async with manager:
            yield manager

    async def _steps(self) -> None:
        async with AsyncExitStack() as stack:
            inner = await stack.enter_async_context(AsyncExitStack())
            manager = await inner.enter_async_context(self._manager())
            for service in self._services.values():
                await add_stand_in(manager, self._caller, service)
            await settle(manager, self._caller)
            for index, step in enumerate(self._test.steps):
                self._caller.begin_step(step.calls)
                cursor, began = manager.events.last_cursor, anyio.current_time()
                error: OstlerError | None = None
                result: OperationResult | None = None
                if step.do == "reopen":
                    await inner.aclose()
                    inner = await stack.enter_async_context(AsyncExitStack())
                    manager = await inner.enter_async_context(self._manager())
                    await manager.recovered.wait()
                else:
                    try:
                        result = await self._act(manager, step)
                    except OstlerError as failure:
                        error = failure
                seconds = anyio.current_time() - began
                await settle(manager, self._caller)
                self._caller.end_step()
                self.judge(manager, index, Outcome(error, result, seconds, cursor))
                if self._failures:
                    break
            self._caller.begin_step(None)

    async def _act(self, manager: ServiceManager, step: TestStep) -> OperationResult | None:
        match step.do:
            case "create":
                args = {**self._args, **step.args}
                request = CreateRequest(
                    self._tests.value.service_class, self.name, args, start=step.start, persist=self._persist
                )
                return await manager.create(request)
            case "start":
                return await manager.start_service(self.name)
            case "stop":
                return await manager.stop_service(self.name)
            case "restart":
                return await manager.restart_service(self.name)
            case "delete":
                return await manager.delete(self.name, force=step.force, abandon=step.abandon)
            case "check":
                await manager.check_health(self.name)
            case "wait":
                await anyio.sleep(step.lasting or 0.0)
            case "reopen":
                raise AssertionError("reopen is done by the caller")
            case _:
                assert_never(step.do)
        return None

    # -- judging -------------------------------------------------------------------------------------------

    def judge(self, manager: ServiceManager, index: int, outcome: Outcome) -> None:
        """Note what is not as the step expects."""
        step, error = self._test.steps[index], outcome.error
        here: KeyPath = ("steps", index)
        label = f"step {index + 1} ({step.do})"
        for problem in self._caller.problems:
            place = (*here, "calls") if step.calls is not None else here
            if problem.index is not None:
                place = (*place, problem.index)
            self._fail(place, f"{label}: {problem.message}", problem.details)
        if self._failures:
            transcript = ("the calls of this step:", *(f"  {line}" for line in self._caller.transcript))
            last = self._failures.pop()
            said = (f"the step failed: {error}",) if error is not None and not self._expects_error(step) else ()
            self._failures.append(
                Failure(last.message, (*last.details, *transcript, *said), last.file, last.line, last.column, last.path)
            )
            return
        expect = step.expect or StepExpectation.model_construct(_fields_set=set())
        if error is not None and expect.error is None:
            self._fail(here, f"{label} failed: {error}")
            return
        for key, message in outcome.problems(expect):
            self._fail((*here, "expect", key), f"{label}: {message}")
        for key, message in self._service_problems(manager, expect):
            self._fail((*here, "expect", key), f"{label}: {message}")
        self._judge_events(manager, (*here, "expect", "events"), expect.events or [], outcome.cursor)

    def _judge_events(self, manager: ServiceManager, path: KeyPath, wanted: Iterable[str], since: int) -> None:
        page = manager.events.read(since=since, limit=1000)
        happened = [f"{event.kind.value} {event.service}: {event.message}" for event in page.events]
        rest = iter(happened)
        for text in wanted:
            if not any(text in event for event in rest):
                details = ("what happened:", *(f"  {event}" for event in happened))
                self._fail(path, f"no event (any more) has {text!r}", details)
                return

    @staticmethod
    def _expects_error(step: TestStep) -> bool:
        return step.expect is not None and step.expect.error is not None

    def _service_problems(self, manager: ServiceManager, expect: StepExpectation) -> Iterator[tuple[str, str]]:
        exists = self.name in manager.registry
        if expect.exists is not None and exists is not expect.exists:
            yield "exists", f"service {self.name!r} {'still exists' if exists else 'does not exist'}"
            return
        view = manager.view(self.name) if exists else None
        facts = ("state", "health", "reachability", "reason", "restarts")
        for key in facts:
            wanted = getattr(expect, key)
            if wanted is None:
                continue
            if view is None:
                yield key, f"expected {key} {_word(wanted)}, but service {self.name!r} does not exist"
            elif getattr(view, key) != wanted:
                seen = f" ({view.error})" if view.error and key in ("state", "health") else ""
                yield key, f"expected {key} {_word(wanted)}, got {_word(getattr(view, key))}{seen}"
        for key, wanted, partial in (
            ("outputs", expect.outputs, False),
            ("outputsInclude", expect.outputs_include, True),
        ):
            if wanted is None:
                continue
            if view is None:
                yield key, f"expected outputs, but service {self.name!r} does not exist"
                continue
            for line in differences(wanted, manager.reveal(self.name)[1], "outputs", partial=partial):
                yield key, line

    def _fail(self, path: KeyPath, message: str, details: tuple[str, ...] = ()) -> None:
        whole = ("tests", self._index, *path)
        line, column = self._tests.document.locate(whole)
        dotted = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in whole).lstrip(".")
        self._failures.append(Failure(message, details, self._tests.file, line, column, dotted))


def _word(value: JsonValue) -> str:
    return str(value) if isinstance(value, str) else shown(value)


async def settle(manager: ServiceManager, caller: StepCaller) -> None:
    """Wait until nothing is under way: calls, operations in the background, the health check after a start."""
    quiet = 0
    while quiet < 2:
        made = caller.calls_made
        await anyio.sleep(_PAUSE)
        idle = not caller.under_way and made == caller.calls_made
        quiet = quiet + 1 if idle and all(view.operation is None for view in manager.views()) else 0
