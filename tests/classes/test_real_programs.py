"""A few telling programs as services, as `benchmarks programs` tries them all: killed, started again, stopped, gone."""

from pathlib import Path

import pytest
from benchmarks.programs.catalogue import PROGRAMS, Program
from benchmarks.programs.command import environment_of
from benchmarks.programs.named import NAMED, live
from benchmarks.programs.trial import Life, is_here
from tests.support.shipped import open_ostler

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]

TELLING = {
    "uvicorn --workers": "workers outlive a killed parent and hold its port; the ready line comes before the port",
    "redis, daemon": "goes into the background, and overwrites its environment",
    "node --watch": "a shell, a watcher and a program, all in a row",
}


@pytest.mark.parametrize("program", [p for p in PROGRAMS if p.name in TELLING], ids=lambda program: program.name)
async def test_a_program_lives_and_leaves_nothing(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.programs.trial.NOTICED_SECONDS", 60.0)  # how soon is for the bench
    environment = environment_of(tmp_path / "no tools")
    if not is_here(program, environment):
        pytest.skip(f"{program.needs} is not installed")
    (tmp_path / "work").mkdir()
    async with open_ostler(tmp_path, within=120) as app:
        trial = await Life(app.manager, program, tmp_path / "work", tmp_path, environment).run()
    assert trial.faults == []
    assert trial.processes > 0


async def test_a_program_runs_by_its_name_alone(tmp_path: Path) -> None:
    environment = environment_of(tmp_path / "no tools")
    (tmp_path / "work").mkdir()
    async with open_ostler(tmp_path, within=120) as app:
        work = tmp_path / "work"
        report = await live(app, "uvicorn", NAMED["uvicorn"], work, tools=tmp_path, environment=environment)
    assert report.passed, report.facts()
    assert [step.name for step in report.steps if step.verdict == "ok"][-3:] == ["recovered", "stopped", "gone"]
