"""Fuzzing guided by coverage: `python -m benchmarks.guided_fuzz TARGET [SECONDS]`, after `pip install atheris`.

What reads text from outside is fed with bytes that reach ever more of its branches. Any exception but those that it
promises is a fault, and so is more than `MOST_SECONDS` or `MOST_MEGABYTES` for one input; libFuzzer then prints it, and
exits with a status other than 0.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from types import ModuleType

MOST_SECONDS = 5
MOST_MEGABYTES = 1024

_PATTERNS = (
    "(a+)+$",
    "(?P<port>[0-9]{1,5})",
    "a{1,99}",
    "(?i)ready|listening",
    "[^\\s]+(?=x)",
    "\\p{L}*",
    "(?:(?:a?){9}){9}",
)
_PATHS = (
    "items[?name == 'x'].id | [0]",
    "a.b[*].c",
    "[@,@][]",
    "sort_by(a, &b)",
    "to_string(@)",
    "join('x', a)",
    "a[1:3:2]",
)
_TEMPLATES = (
    "{{ args.port | default(omit) }}", "{% for i in range(9) %}{{ i }}{% endfor %}", "{{ a | tojson }}", "{{ 2 ** 9 }}",
    "{{ '%99d' | format(1) }}", "{% set a = [1] %}{{ a + a }}", "{{ a.b | join(',') | replace('a', 'b') }}",
)  # fmt: skip
_ENTRIES = (
    '{"mcpServers": {"a": {"command": "x", "args": ["--token", "${env:T}"], "env": {"A": "${secret:env:B}"}}}}',
    '{"servers": {"a": {"type": "http", "url": "http://u:p@h/x", "headers": {"Authorization": "${input:k}"}}}}',
    '{"mcp": {"a": {"type": "local", "command": ["x"], "enabled": false, /* c */ "timeout": 5,},},}',
)
_SETTINGS = (
    'idleExit = "5m"\n[http]\ntokenEnv = "T"\nallowedHosts = ["a:*"]\n[limits]\nmaxArgsBytes = "256KiB"\n',
    '[[webhooks]]\nurl = "https://a/b"\nevents = ["crash"]\n[principals."*"]\nclasses = ["r*"]\nmaxServices = 5\n',
    '[policy]\nallowTools = ["a/*"]\n[oauth]\nissuer = "https://a"\nresource = "https://b/mcp"\n',
)
_MESSAGES = (
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{}}}\n',
    '{"jsonrpc":"2.0","id":"a","result":{"content":[{"type":"text","text":"x"}],"isError":false}}\n\n{"id": 1e999}\n',
)
_SHORT_LINE = 40
_VALUE: Any = {"a": [{"b": 2, "name": "x"}, {"b": 1}], "items": [{"name": "x", "id": 7}], "args": {"port": 80}}


Check: TypeAlias = Callable[[bytes], object]
Target: TypeAlias = tuple[Check, list[str]]
"""What is called with each input, and the inputs that it begins with."""


def _classes() -> Target:
    support = import_module("tests.support.fuzz")
    return _of_text(support.check_class_text), [
        json.dumps(seed) for seed in (*support.CLASS_SEEDS, *support.MUSTER_SEEDS)
    ]


def _projects() -> Target:
    support = import_module("tests.support.fuzz")
    return _of_text(support.check_project_text), [json.dumps(seed) for seed in support.PROJECT_SEEDS]


def _servers() -> Target:
    reader = import_module("ostler.adapters.config.mcp_json")
    return _of_text(lambda text: reader.load_mcp_json(text, {"T": "t"}, file="mcp.json")), list(_ENTRIES)


def _patterns() -> Target:
    patterns = import_module("ostler.rules.text.patterns")

    def check(text: str) -> None:
        pattern, _, searched = text.partition("\n")
        try:
            patterns.search(pattern, searched or "a" * 5000)
            patterns.value_group(pattern, "port")
        except patterns.PatternError:
            return

    return _of_text(check), [f"{pattern}\naaaaaa listening on 8080" for pattern in _PATTERNS]


def _paths() -> Target:
    queries, errors = import_module("ostler.rules.answers.queries"), import_module("ostler.model.errors")

    def check(text: str) -> None:
        try:
            json.dumps(queries.search_value(text, _VALUE), allow_nan=False)
        except errors.ExtractionError:
            return

    return _of_text(check), list(_PATHS)


def _templates() -> Target:
    template, errors = import_module("ostler.rules.templates.template"), import_module("ostler.model.errors")

    def check(text: str) -> None:
        try:
            json.dumps(template.render(text, _VALUE), allow_nan=False)
        except errors.TemplateError:
            return

    return _of_text(check), list(_TEMPLATES)


def _framing() -> Target:
    framing, lines = import_module("ostler.adapters.downstream.framing"), import_module("ostler.faces.bridge.lines")

    def chunks(data: bytes) -> Iterator[bytes]:
        size = 1 + len(data) % 7
        yield from (data[at : at + size] for at in range(0, len(data), size))

    def check(data: bytes) -> None:
        splitter = framing.LineSplitter(_SHORT_LINE)
        found = [each for chunk in chunks(data) for each in splitter.feed(chunk)]
        fitting = [line for line in data.split(b"\n")[:-1] if 0 < len(line) <= _SHORT_LINE]
        assert [each for each in found if isinstance(each, bytes)] == fitting
        source = chunks(data)

        def read(_size: int) -> bytes:
            return next(source, b"")

        assert b"".join(lines.split_lines(read)) == data

    return check, list(_MESSAGES)


def _settings() -> Target:
    parse, errors = import_module("ostler.adapters.config.settings_file"), import_module("ostler.model.errors")

    def check(text: str) -> None:
        try:
            parse.parse_settings(text, "ostler.toml")
        except errors.ManifestError as error:
            if any(finding.line < 1 for finding in error.findings):
                raise AssertionError(f"a finding has no place: {error}") from error

    return _of_text(check), list(_SETTINGS)


def _sources() -> Target:
    """Files of other tools, of which a project is made."""
    found = import_module("ostler.rules.imports.found")
    readers: list[Callable[[str, str], object]] = [
        import_module("ostler.rules.imports.compose").read_compose,
        import_module("ostler.rules.imports.procfile").read_procfile,
        import_module("ostler.rules.imports.process_compose").read_process_compose,
        import_module("ostler.rules.imports.node_package").read_package_json,
    ]
    project_text = import_module("ostler.rules.imports.project_text").project_text

    def check(text: str) -> None:
        for reader in readers:
            try:
                project_text("p", [reader(text, "file")])
            except found.UnreadableSourceError:
                continue

    compose = '{"services": {"db": {"image": "redis:7", "ports": ["80:${P:-1}"], "environment": ["A=b"]}}}'
    scripts = '{"scripts": {"dev": "vite --port 3000"}, "packageManager": "pnpm@8"}'
    processes = (
        '{"processes": {"a": {"command": "x", "depends_on": {"b": {}}, "readiness_probe": {"http_get": {"port": 1}}}}}'
    )
    return _of_text(check), [compose, scripts, processes, "web: bundle exec x -p $PORT\nworker: y\n"]


TARGETS: dict[str, Callable[[], Target]] = {
    "classes": _classes,
    "projects": _projects,
    "servers": _servers,
    "settings": _settings,
    "sources": _sources,
    "patterns": _patterns,
    "paths": _paths,
    "templates": _templates,
    "framing": _framing,
}


def _of_text(check: Callable[[str], object]) -> Check:
    return lambda data: check(data.decode("utf-8", "replace"))


def main() -> None:
    """Fuzz one target until the time is over, or a fault is found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guided_fuzz", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("seconds", nargs="?", type=int, default=300)
    options = parser.parse_args()
    atheris: ModuleType = import_module("atheris")  # not in the lock: it has wheels for few versions of Python
    with atheris.instrument_imports(include=["ostler"]):
        check, seeds = TARGETS[options.target]()
    with tempfile.TemporaryDirectory(prefix="ostler-fuzz-") as folder:
        for number, seed in enumerate(seeds):
            Path(folder, f"{number:03}").write_text(seed, encoding="utf-8")
        bounds = [f"-timeout={MOST_SECONDS}", f"-rss_limit_mb={MOST_MEGABYTES}", "-max_len=4096"]
        atheris.Setup(
            [sys.argv[0], folder, f"-max_total_time={options.seconds}", *bounds, "-print_final_stats=1"],
            check,
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
