"""`ostler.toml` and what it sets."""

from pathlib import Path

import pytest

from ostler.adapters.config.settings_file import load_settings, parse_settings
from ostler.model.errors import ManifestError
from ostler.model.settings import Settings, shown_store

WHOLE = """
idleExit = "1h30m"
shutdownTimeout = 5

[limits]
maxArgsBytes = "64KiB"
maxResponseBytes = 1000
maxEventsPerService = 7
maxEvents = 70
operationHistory = 5
maxOperations = 50
healthConcurrency = 3

[http]
allowedHosts = ["ostler.example"]
allowedOrigins = ["https://ostler.example"]
tokenEnv = "OSTLER_TOKEN"

[env]
allow = ["HOME", "LANG"]

[process]
enabled = false

[policy]
allowTools = ["process/*", "web/*"]
denyTools = ["*/delete*"]
"""


def test_no_file_means_the_defaults(tmp_path: Path) -> None:
    settings = load_settings(tmp_path / "ostler.toml")
    assert settings == Settings()
    assert (settings.idle_exit, settings.shutdown_timeout) == (600.0, 20.0)
    assert settings.limits.max_args_bytes == 256 * 1024
    assert settings.policy.allows("any/tool")
    assert settings.http.bearer_token({}) is None
    assert settings.env.visible({"HOME": "/h"}) == {}


def test_every_key_is_read(tmp_path: Path) -> None:
    file = tmp_path / "ostler.toml"
    file.write_text(WHOLE)
    settings = load_settings(file)
    assert (settings.idle_exit, settings.shutdown_timeout) == (5400.0, 5.0)
    assert settings.limits.model_dump(by_alias=True) == {
        "maxArgsBytes": 65536,
        "maxResponseBytes": 1000,
        "maxEventsPerService": 7,
        "maxEvents": 70,
        "operationHistory": 5,
        "maxOperations": 50,
        "healthConcurrency": 3,
    }
    assert settings.http.allowed_hosts == ("ostler.example",)
    assert settings.http.bearer_token({"OSTLER_TOKEN": "t"}) == "t"
    assert settings.env.visible({"HOME": "/h", "SECRET": "x"}) == {"HOME": "/h"}
    assert settings.process.enabled is False
    assert [settings.policy.allows(tool) for tool in ("web/get", "web/delete_all", "other/get")] == [True, False, False]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://jane:pw@db:5432/shop?sslpassword=pw", "postgresql://jane@db:5432/shop"),
        ("postgresql://jane:p@w@db", "postgresql://jane@db"),
        ("postgres://jane:p?w@db/shop", "postgres://jane@db/shop"),
        ("postgresql://jane:p#w@db/shop", "postgresql://jane@db/shop"),
        ("postgresql:///shop?host=/run&password=p@w", "postgresql:///shop"),
        ("postgresql://?host=/run&password=pw", "postgresql://"),
    ],
)
def test_the_url_of_a_store_is_shown_without_its_password(url: str, shown: str) -> None:
    assert parse_settings(f'store = "{url}"', "f").to_public_json()["store"] == shown


def test_a_password_that_postgresql_takes_for_the_database_is_refused_and_not_shown() -> None:
    url = "postgresql://jane:pw/pw@db/shop"
    with pytest.raises(ManifestError, match="write them as %40 and %2F") as refused:
        parse_settings(f'store = "{url}"', "f")
    assert "pw" not in str(refused.value)
    assert shown_store(url) == "postgresql://…"


def test_the_effective_settings_can_be_shown_and_read_back_without_the_token() -> None:
    shown = parse_settings('idleExit = "never"\n[http]\ntoken = "hunter2"', "f").to_public_json()
    assert shown["idleExit"] == "never"
    assert shown["shutdownTimeout"] == "20s"
    assert shown["http"]["token"] == "**********"
    assert "hunter2" not in repr(parse_settings('[http]\ntoken = "hunter2"', "f"))
    assert Settings.model_validate(Settings().to_public_json()) == Settings()


def test_a_token_variable_that_is_not_set_is_an_error() -> None:
    settings = parse_settings('[http]\ntokenEnv = "OSTLER_TOKEN"', "f")
    with pytest.raises(ValueError, match="'OSTLER_TOKEN', which is not set"):
        settings.http.bearer_token({})


BROKEN = [
    ("idleExit = \n", "f:1:12: is not valid TOML: Invalid value"),
    ('a = 1\nb = """', "f:2:"),
    ("idleExt = 3", "f:1:1: unknown key 'idleExt' [unknown-key]; did you mean 'idleExit'?"),
    ("\n[limits]\nmaxEvent = 3", "f:3:1: unknown key 'limits.maxEvent' [unknown-key]; did you mean 'maxEvents'?"),
    ("[limts]\nmaxEvents = 3", "f:1:2: unknown key 'limts' [unknown-key]; did you mean 'limits'?"),
    ("[process]\nidleExit = 3", "f:2:1: unknown key 'process.idleExit' [unknown-key]; 'idleExit' belongs to the top"),
    ('store = "postgresql"', "f:1:1: store: must be 'sqlite', or the URL of a PostgreSQL database: postgresql://"),
    ("[policy]\nzzz = 3", "known keys: allowTools, cancelledCreate, confirmTools"),
    ("limits.maxEvents = 0", "f:1:1: limits.maxEvents: Input should be greater than or equal to 1"),
    ("limits.maxArgsBytes = true", "limits.maxArgsBytes: must be a number of bytes, or text such as '256KiB'"),
    ("limits.maxOperations = 99999999999999999999", "Input should be less than or equal to 1000000000"),
    ("process = { enabled = 1 }", "f:1:1: process.enabled: must be true or false"),
    ("process = true", "f:1:1: process: must be a table"),
    ('[limits]\nhealthConcurrency = "3"', "f:2:1: limits.healthConcurrency: must be a whole number"),
    ('[limits]\nmaxArgsBytes = "3 lots"', "f:2:1: limits.maxArgsBytes: must be a number of bytes"),
    ('[env]\n  allow = "HOME"', "f:2:3: env.allow: must be a list of texts"),
    ('[env]\nallow = [\n"A",\n3]', "f:2:1: env.allow.1: must be text in quotes"),
    ('shutdownTimeout = "soon"', "f:1:1: shutdownTimeout: 'soon' is not a duration"),
    ("shutdownTimeout = 0", "f:1:1: shutdownTimeout: Input should be greater than 0"),
    ('[http]\ntoken = "a"\ntokenEnv = "B"', "f:1:2: http: write 'token' or 'tokenEnv', not both"),
    ('[http]\ntoken = ""', "'token' is empty"),
    ('[http]\nallowedHosts = ["a.example",\n"http://b"]', "'http://b' is not a host; write it like 'ostler.example'"),
    ('[http]\nallowedHosts = ["""\n[env]\n"""]\nzz = 1', "f:5:1: unknown key 'http.zz'"),
    (
        '[[webhooks]]\nurl = "http://a"\n[[webhooks]]\nurl = "http://b"\nevents = [\n"x"]',
        "f:5:1: webhooks.1.events.0: ",
    ),
    (
        '[[webhooks]]\nurl = "http://a"\nevent = ["x"]',
        "f:3:1: unknown key 'webhooks.0.event' [unknown-key]; did you mean 'events'?",
    ),
    (
        '[principals."*"]\nclass = ["x"]',
        "f:2:1: unknown key 'principals.*.class' [unknown-key]; did you mean 'classes'?",
    ),
    ('[[webhooks]]\nurl = "http://a\'\'\'b" # [[\nevents = [\n["a"],\n]\nzz = 1', "f:6:1: unknown key 'webhooks.0.zz'"),
    ('[env]\nallow = ["\u2028", """]\n\\"\\"""a[""", \'x\']\nzz = 1', "f:4:1: unknown key 'env.zz'"),
    (
        'idleExit = "5m"\n[princpals."*"]\na = 1',
        "f:2:2: unknown key 'princpals' [unknown-key]; did you mean 'principals'",
    ),
    ('[principals."a\\u0062"]\nadmin = 3', "f:2:1: principals.ab.admin: "),
    ('["http"]\n"zz" = 1', "f:2:1: unknown key 'http.zz'"),
    ('[[webhooks]]\nurl = "https://example.com:https/x"', "'url' must be an http or https address"),
    ('[[webhooks]]\nurl = "https://example.com:99999/x"', "'url' must be an http or https address"),
    ('[telemetry]\notlpEndpoint = "http://[::1"', "f:2:1: telemetry.otlpEndpoint: must be an address such as"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_a_problem_is_named_with_its_place_and_what_to_write(text: str, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_settings(text, "f")
    assert message in str(caught.value)


def test_all_problems_come_at_once_in_their_order() -> None:
    with pytest.raises(ManifestError) as caught:
        parse_settings('idleExit = "x"\n[limits]\nfoo = 1\n[policy]\nallowTools = 3', "f")
    assert [finding.line for finding in caught.value.findings] == [1, 3, 5]
    assert caught.value.findings[1].path == "limits.foo"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "ostler.toml"
    file.write_bytes(b"idleExit = '\xff'")
    with pytest.raises(ManifestError, match="is not UTF-8"):
        load_settings(file)
    folder = tmp_path / "folder.toml"
    folder.mkdir()
    with pytest.raises(ManifestError, match="cannot be read: it is a folder"):
        load_settings(folder)
