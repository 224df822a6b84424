"""The library face: every name is there, described and documented; the examples of its page run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import ostler

PAGE = (Path(__file__).parent.parent / "docs" / "library.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"<!-- example -->\n```python\n(.*?)```", PAGE, re.DOTALL)
CONTRACT = (
    "Service",
    "BaseService",
    "ServiceInstance",
    "HealthChecker",
    "ServiceDataProvider",
    "StateUpdater",
    "StatusReporter",
    "StatusUpdate",
    "ServiceRegistry",
    "RegistryAdapter",
    "ServiceManager",
    "ToolCaller",
    "StateChangeCallback",
    "evaluate_health_check_expectation",
    "extract_from_response",
    "process_tool_outputs",
    "ServiceState",
    "HealthStatus",
)


@pytest.mark.parametrize("name", ostler.__all__)
def test_every_name_is_there_and_described(name: str) -> None:
    found = getattr(ostler, name)
    assert name == "StateChangeCallback" or (found.__doc__ or "").strip()
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize("name", CONTRACT)
def test_what_is_promised_is_exported(name: str) -> None:
    assert name in ostler.__all__


@pytest.mark.parametrize("number", range(len(EXAMPLES)), ids=["a-service-of-ones-own", "a-class-and-ones-own-tools"])
def test_the_examples_run(number: int) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", EXAMPLES[number]], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    expected = (
        ["primary: Starting", "primary: Running", "replica: Running", "replica: Stopping"]
        if number == 0
        else ["prometheus-9090: running -> stopping (healthy)", "prometheus-9090: stopping -> stopped (unknown)"]
    )
    lines = done.stdout.splitlines()
    assert [line for line in lines if line in expected] == expected
