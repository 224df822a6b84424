"""A recorded test passes as it is, has no secret in it, and leaves nothing behind."""

from pathlib import Path

import anyio
import pytest
from tests.support.world import BASIC, Answer, Fail, Hang, World

from ostler.adapters.testing.discovery import find_class, run_test_file
from ostler.adapters.testing.live_recording import record_class_test
from ostler.model.errors import ManifestError, NotFoundError

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    (tmp_path / "basic.yaml").write_text(BASIC)
    return tmp_path


async def recorded(classes: Path, world: World, **args: object) -> tuple[str, str]:
    entry, entries = find_class("basic", classes)
    made = await record_class_test(entry, entries, args, world)
    return made.text, made.error


async def replayed(classes: Path, text: str) -> list[str]:
    """Run the recorded test, in a thread: it has an event loop of its own."""
    path = anyio.Path(classes / "basic.test.yaml")
    await path.write_text(text)
    tested = await anyio.to_thread.run_sync(run_test_file, Path(path))
    failures = [str(failure) for result in tested.results for failure in result.failures]
    return [*map(str, tested.findings), *failures]


async def test_a_life_is_recorded_and_replayed(classes: Path) -> None:
    world = World(ready_after=3.0)
    text, error = await recorded(classes, world, size=2, password="hunter22")
    assert error == ""
    assert world.resources == {}
    assert "hunter22" not in text
    assert "times: 3" in text
    assert 'outputs: {url: "ledger://r1/2"}' in text
    assert await replayed(classes, text) == []
    assert await replayed(classes, text.replace("r1", "r2", 1)) != []


async def test_prose_and_failures_are_recorded(classes: Path) -> None:
    world = World()
    world.faults["w/status"].append(Answer("it boots, and {is} not: ready"))
    world.faults["w/stop"].append(Fail("busy"))
    text, error = await recorded(classes, world)
    assert "busy" in error
    assert 'answer: "it boots, and {is} not: ready"' in text
    assert 'fails: "busy"' in text
    assert await replayed(classes, text) == []


async def test_a_start_without_an_answer_is_recorded_as_such(classes: Path) -> None:
    world = World()
    world.faults["w/start"].append(Hang())
    text, error = await recorded(classes, world)
    assert "did not answer" in error
    assert 'error: "timeout"' in text
    assert world.resources == {}
    assert await replayed(classes, text) == []


async def test_what_is_not_a_class_is_reported(classes: Path) -> None:
    with pytest.raises(NotFoundError, match="did you mean 'basic'"):
        find_class("basik", classes)
    (classes / "broken.yaml").write_text("kind: x")
    with pytest.raises(ManifestError):
        find_class(str(classes / "broken.yaml"), classes)
    assert find_class(str(classes / "basic.yaml"), Path("elsewhere"))[0].name == "basic"
    assert find_class("command", classes)[0].origin == "shipped"
