from functools import partial
from pathlib import Path

import pytest
import typer.main

from ostler.adapters.config.paths import Paths
from ostler.faces.cli.app import build_app
from ostler.faces.daemon.foreground_options import foreground_run

OF_THE_BRIDGE = {"--channel", "--help", "-h"}
VALUES = {"--toolset": "core", "--log-level": "debug", "--tls-cert": "a.pem", "--tls-key": "b.pem"}


def test_every_option_of_the_server_is_read() -> None:
    serve = typer.main.get_command(build_app()).commands["serve"]  # type: ignore[attr-defined]
    arguments = ["serve"]
    for param in serve.params:
        [name] = param.opts[:1]
        if name not in OF_THE_BRIDGE:
            arguments += [name] if param.is_flag else [name, VALUES.get(name, f"/{name}")]
    run = foreground_run(arguments)
    assert isinstance(run, partial)
    assert run.args == (Paths.resolve("/--config", "/--state"),)
    assert run.keywords == {
        "stdio": True,
        "http": "/--http",
        "allowed_hosts": ("/--allowed-host",),
        "stop_on_exit": True,
        "stand_by": True,
        "toolset": "core",
        "log_level": "debug",
        "tls": (Path("a.pem"), Path("b.pem")),
        "advertise": "/--advertise",
    }


@pytest.mark.parametrize(
    ("arguments", "is_clear"),
    [
        (["serve", "--foreground"], True),
        (["--state=/s", "serve", "--http=:1"], True),
        (["serve", "--http", ":1", "--allowed-host", "a", "--allowed-host=b"], True),
        (["serve"], False),
        (["serve", "--http"], False),
        (["serve", "--htt", ":1"], False),
        (["serve", "--http", ":1", "--channel"], False),
        (["serve", "--http", ":1", "--help"], False),
        (["serve", "--http", ":1", "--toolset", "tiny"], False),
        (["serve", "--http", ":1", "--tls-key", "k"], False),
        (["serve", "--foreground", "--advertise", "http://a"], False),
        (["serve", "--stop-on-exit"], False),
        (["ps", "serve", "--foreground"], False),
    ],
)
def test_what_is_not_clear_is_left_to_the_command_line(arguments: list[str], *, is_clear: bool) -> None:
    assert (foreground_run(arguments) is not None) is is_clear
