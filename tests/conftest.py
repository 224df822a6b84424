"""Shared fixtures: every async test runs on asyncio and on trio's virtual clock, unless it is marked realtime."""

import asyncio  # noqa: TID251 (the loop of tests on asyncio)
import gc
import os
import selectors
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants
from jsonschema import Draft202012Validator
from tests.support.warden import guarded
from trio.testing import MockClock

from ostler.adapters.process.inheritance import take_ignored_signals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.postgresql import Postgresql

gc.disable()  # until the tests are collected: next to nothing of what is imported goes away
gc.set_threshold(50_000, 20, 20)  # going through all that was imported again and again was a tenth of the suite's CPU

# Bytecode is kept even if the environment forbids it: each worker would compile the tests again, and each server that a
# test starts what it is made of.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

take_ignored_signals()  # tests may run in the background, and what they start must be stoppable by any signal

# A busy machine is slow; no test is about how long an example takes.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# In CI the examples are the same each time. They would not be: Hypothesis takes constants from the modules that are
# loaded, and what is loaded differs by what a worker has run before.
if os.environ.get("CI", "").lower() not in ("", "0", "false"):
    providers._get_local_constants = Constants  # pyright: ignore[reportPrivateUsage]

check_schema = Draft202012Validator.check_schema
valid_schemas: set[str] = set()


def check_schema_once(schema: Any, *args: Any, **options: Any) -> None:
    """Check a schema unless one that is written the same was valid.

    The client of each test checks the schemas of the tools that it calls, as a client of the SDK does, and they are the
    same in most tests: a twentieth of the suite's CPU.
    """
    if args or options:
        return check_schema(schema, *args, **options)
    written = repr(schema)  # unlike JSON it tells a tuple from a list
    if written not in valid_schemas:
        check_schema(schema)
        valid_schemas.add(written)
    return None


Draft202012Validator.check_schema = check_schema_once

os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"  # no test touches a person's keyring


def pytest_configure(config: pytest.Config) -> None:
    """End what the tests have started if their run is killed; the workers of a run are guarded with it."""
    if not hasattr(config, "workerinput"):
        guard = ExitStack()
        guard.enter_context(guarded())
        config.add_cleanup(guard.close)


def pytest_collection_finish() -> None:
    """Collect garbage again, but leave out the modules and tests: a worker collected its tests in a third less CPU."""
    gc.freeze()
    gc.enable()


MOST_IDLE = 3.0
"""Seconds that a test without a mark may wait in real time, for nothing but the clock."""


class IdleSelector(selectors.DefaultSelector):
    """What an event loop waits with; it counts the seconds in which the loop waited for the clock alone."""

    idle = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(timeout)
        if timeout and not ready:
            self.idle += timeout
        return ready


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> "Iterator[Any]":
    """The backend, parametrised by `pytest_generate_tests` below: asyncio, or trio with a fresh virtual clock."""
    if getattr(request, "param", "asyncio") == "trio":
        yield "trio", {"clock": MockClock(autojump_threshold=0)}
        return
    selector = IdleSelector()
    yield "asyncio", {"loop_factory": lambda: asyncio.SelectorEventLoop(selector)}
    if request.node.get_closest_marker("realtime") is None:
        assert selector.idle < MOST_IDLE, f"{selector.idle:.0f} s of real time went by idly: mark the test virtual"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run unmarked async tests on both backends; realtime ones on asyncio only, virtual ones on trio only."""
    if "anyio_backend" not in metafunc.fixturenames:
        return
    if metafunc.definition.get_closest_marker("realtime"):
        backends = ["asyncio"]
    elif metafunc.definition.get_closest_marker("virtual"):
        backends = ["trio"]
    else:
        backends = ["asyncio", "trio"]
    metafunc.parametrize("anyio_backend", backends, indirect=True)


@pytest.fixture
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short-named folder for a server's state (unix socket paths are limited to about 100 bytes)."""
    return tmp_path_factory.mktemp("s")


@pytest.fixture(scope="session")
def postgresql() -> "Iterator[Postgresql]":
    """A PostgreSQL server, started by the first test that asks for it."""
    from tests.support.postgresql import running

    with running() as server:
        yield server
