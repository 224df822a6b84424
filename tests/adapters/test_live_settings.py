"""ostler.toml while the server runs: what takes effect at once, what waits, what a broken file does."""

from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from ostler.adapters.config.live_settings import LIVE_KEYS, LiveSettings
from ostler.adapters.config.settings_file import load_settings
from ostler.model.settings import Settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ostler.toml"


def begun(file: Path, text: str = "") -> LiveSettings:
    file.write_text(text)
    return LiveSettings(file, load_settings(file))


def test_a_stricter_policy_holds_from_the_moment_it_is_written(file: Path) -> None:
    live = begun(file)
    assert live.current().policy.allows("a/drop")
    file.write_text('[policy]\ndenyTools = ["a/drop"]\n')
    assert not live.current().policy.allows("a/drop")
    assert live.settle() == ("policy.denyTools",)
    assert live.settle() == ()


class SlowEnvironment(dict[str, str]):
    """An environment whose first look-up takes until `go` is set."""

    def __init__(self) -> None:
        super().__init__(HOME="somewhere")
        self.asked, self.go = Event(), Event()

    def get(self, key: str, default: Any = None, /) -> Any:
        if not self.asked.is_set():
            self.asked.set()
            assert self.go.wait(30)
        return super().get(key, default)


def test_a_policy_that_is_being_read_is_waited_for(file: Path) -> None:
    file.write_text("")
    slow = SlowEnvironment()
    live = LiveSettings(file, load_settings(file), slow)
    file.write_text('[policy]\ndenyTools = ["a/drop"]\n')
    settling = Thread(target=live.settle)
    settling.start()
    assert slow.asked.wait(30)
    allowed: list[bool] = []
    asking = Thread(target=lambda: allowed.append(live.current().policy.allows("a/drop")))
    asking.start()
    asking.join(0.1)  # it has its answer, or waits for the first reader
    slow.go.set()
    settling.join()
    asking.join()
    assert allowed == [False]


def test_a_policy_that_is_written_while_the_file_is_read_is_not_lost(file: Path) -> None:
    file.write_text("")
    slow = SlowEnvironment()
    live = LiveSettings(file, load_settings(file), slow)
    file.write_text("[policy]\ndenyTools = []\n")
    settling = Thread(target=live.settle)
    settling.start()
    assert slow.asked.wait(30)
    file.write_text('[policy]\ndenyTools = ["a/drop"]\n')
    asking = Thread(target=live.current)
    asking.start()
    asking.join(0.1)  # it has its answer, or waits for the first reader
    slow.go.set()
    settling.join()
    asking.join()
    assert not live.current().policy.allows("a/drop")


def test_a_broken_file_leaves_what_is_in_force(file: Path) -> None:
    live = begun(file, '[policy]\ndenyTools = ["a/drop"]\n')
    file.write_text("[policy]\ndenyTools = [\n")
    assert not live.current().policy.allows("a/drop")
    assert [finding.line for finding in live.findings] == [3]
    file.write_text('[policy]\ndenyTools = ["a/other"]\n')
    assert live.current().policy.allows("a/drop")
    assert live.findings == ()


def test_an_empty_file_is_one_that_is_being_written(file: Path) -> None:
    live = begun(file, '[policy]\ndenyTools = ["a/drop"]\n')
    file.write_text("")
    assert not live.current().policy.allows("a/drop")
    live.settle()
    assert live.current().policy.allows("a/drop")


def test_a_file_that_is_removed_leaves_the_defaults(file: Path) -> None:
    live = begun(file, '[policy]\ndenyTools = ["a/drop"]\n')
    file.unlink()
    assert live.current() == Settings()


def test_each_other_key_says_that_it_waits_for_a_restart(file: Path) -> None:
    live = begun(file, '[[webhooks]]\nurl = "https://h.example/old"\n')
    file.write_text(
        'idleExit = "never"\nshutdownTimeout = "9s"\n[limits]\nmaxEvents = 5\nmaxArgsBytes = 99\n[env]\nallow = ["A"]\n'
        '[http]\ntoken = "x"\nallowedHosts = ["h"]\n[process]\nenabled = false\n'
        '[projects]\nautoPrune = true\n[[webhooks]]\nurl = "https://h.example/new"\n'
    )
    settings = live.current()
    assert (settings.limits.max_args_bytes, settings.projects.auto_prune) == (99, True)
    assert (settings.idle_exit, settings.process.enabled, settings.env.allow) == (600.0, True, ())
    assert set(live.waiting) == {
        "idleExit", "shutdownTimeout", "limits.maxEvents", "env.allow", "http.token", "http.allowedHosts",
        "process.enabled", "webhooks",
    }  # fmt: skip
    assert not LIVE_KEYS.intersection(live.waiting)
    file.write_text('[[webhooks]]\nurl = "https://h.example/old"\n')
    live.settle()
    assert live.waiting == ()
