"""Whatever a test of a shipped class does to its service: the plan of it is what is called."""

import json
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.plan_comparison import Watch, differences_from_plan
from tests.support.shipped import FOLDER

from ostler.adapters.config.class_files import ClassFiles
from ostler.adapters.config.paths import class_test_files_in
from ostler.adapters.testing.results import Outcome
from ostler.adapters.testing.runner import TestRun
from ostler.adapters.testing.scripted_caller import ScriptedCaller
from ostler.adapters.testing.virtual_time import run_in_virtual_time
from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.manager import ServiceManager
from ostler.engine.services.views import CreateRequest, OperationResult
from ostler.model.class_tests import TestStep
from ostler.model.responses import ToolResponse
from ostler.rules.loading.class_tests import LoadedTests, load_class_tests
from ostler.rules.secrets.masking import mask

if TYPE_CHECKING:
    from ostler.model.plans import Plan

PLANNED = ("create", "start", "stop", "restart", "delete")


class Listening(ScriptedCaller):
    """A scripted caller that keeps all calls."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.calls: list[tuple[str, dict[str, Any]]] = []

    async def call_tool(self, tool: str, args: Any, **more: Any) -> ToolResponse:
        if not (self._has_stopped and tool in self._looks and not self._is_next(tool)):  # a look whether it is gone
            self.calls.append((tool, dict(args)))
        return await super().call_tool(tool, args, **more)


class PlannedRun(TestRun):
    """Plans every step before it is done, and compares the plan with the calls of the steps that succeed."""

    def __init__(self, tests: LoadedTests, index: int, entries: list[ClassEntry]) -> None:
        test = tests.value.tests[index]
        self.heard = Listening({**tests.value.answers, **test.answers}, [entry.service_class for entry in entries])
        super().__init__(tests, index, entries, self.heard)
        self.compared = 0
        self.wrong: list[str] = []
        self._plan: Plan | None = None
        self._watch: Watch | None = None
        self._secrets = frozenset[str]()

    async def _act(self, manager: ServiceManager, step: TestStep) -> OperationResult | None:
        self._plan = self._watch = None
        self._secrets = frozenset(manager.secrets())  # of what a delete forgets, too
        answers = [*(step.calls or ()), *(a for listed in self._test.answers.values() for a in listed)]
        fails = any(answer.fails is not None or answer.error or answer.is_error for answer in answers) or (
            step.expect is not None and step.expect.error
        )
        if step.do in PLANNED and step.start and not fails:
            self._ids, ids = tee(self._ids)  # a plan takes some, which the calls of the step may name, too
            if step.do == "create":
                args = {**self._args, **step.args}
                request = CreateRequest(self._tests.value.service_class, self.name, args)
                self._plan = manager.plans.create(request)
            else:
                self._plan = manager.plans.operate(self.name, step.do, abandon=step.abandon)
            self._ids = ids
            self._watch = Watch(manager, self.heard, self.name)
        return await super()._act(manager, step)

    def judge(self, manager: ServiceManager, index: int, outcome: Outcome) -> None:
        super().judge(manager, index, outcome)
        if self._plan is None or self._watch is None:
            return
        self.compared += 1
        secrets = self._secrets.union(manager.secrets())
        made = [(tool, mask(args, secrets)) for tool, args in self._watch.calls()]
        self.wrong += [f"step {index + 1}: {line}" for line in differences_from_plan(self._plan.steps, made)]
        self._plan = self._watch = None


@pytest.mark.parametrize("path", class_test_files_in(FOLDER), ids=lambda path: path.name.partition(".")[0])
def test_the_plans_of_a_shipped_class_are_what_is_called(path: Path) -> None:
    tests = load_class_tests(path.read_text(encoding="utf-8"), path.name)
    snapshot = ClassFiles(FOLDER, Path("absent")).reload()
    entries = [ClassEntry.of(s.loaded) for s in snapshot.entries.values()]
    compared = 0
    for index in range(len(tests.value.tests)):
        run = PlannedRun(tests, index, entries)
        result = run_in_virtual_time(run.run)
        assert result.passed, [str(failure) for failure in result.failures]
        assert run.wrong == [], json.dumps(run.wrong, indent=1)
        compared += run.compared
    assert compared >= 2
