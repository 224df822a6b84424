"""What others wrote reaches a terminal without what a terminal would obey, whatever verb shows it."""

import ast
import io
import json
import re
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from processes.bridge_client import clean_place
from processes.command_line import CommandLine

from ostler.faces import output
from ostler.faces.cli.tables import print_table
from ostler.rules.text.terminal_text import shown_json, shown_text

CLI = Path(output.__file__).parent
CANNED = Path(__file__).parents[1] / "support" / "canned_server.py"
HOSTILE = "\x1b[31mred\x1b]0;title\x07\x9b2J\x9d52;c;aGk=\x9c\x1bc\u202eeman\x7f\x08\ud83d"
TEXT = HOSTILE[:-1]
"""The same without half a character, which no server can send."""

OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
CLASS = """
apiVersion: ostler/v1
kind: ServiceClass
metadata: {{name: hostile}}
spec:
  description: {text}
  serviceConfig:
    lifecycleTools:
      start: {{tool: canned/good, args: {{name: "{{{{ name }}}}"}}, outputs: {{url: url, word: word}}}}
      stop: {{tool: canned/bad, args: {{word: "{{{{ start.word }}}}"}}}}
      status: {{tool: canned/good, args: {{}}, expect: {{jsonPath: {{word: never}}}}}}
      logs: {{tool: canned/good, args: {{}}}}
    healthCheck: {{interval: 1s}}
"""


def printing(path: Path) -> list[str]:
    """Return the calls in a module that write to a terminal themselves."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(func=ast.Name(id="print" | "echo" | "secho" as name)):
                found.append(f"{name} at line {node.lineno}")
            case ast.Attribute(value=ast.Name(id="typer" | "click"), attr="echo" | "secho" as name):
                found.append(f"{name} at line {node.lineno}")
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id="sys"), attr="stdout" | "stderr"), attr=name):
                if name != "isatty":
                    found.append(f"sys stream's {name} at line {node.lineno}")
            case _:
                pass
    return found


def test_one_module_writes_to_the_terminal() -> None:
    own = {path.name: found for path in CLI.rglob("*.py") if path.name != "output.py" and (found := printing(path))}
    assert own == {}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (HOSTILE, "red\ufffdeman\ufffd"),
        ("plain\ttext\nof two lines\n", "plain\ttext\nof two lines\n"),
        ("caf\u00e9 \u65e5\u672c \U0001f469\u200d\U0001f4bb", "caf\u00e9 \u65e5\u672c \U0001f469\u200d\U0001f4bb"),
        ("\x1b]8;;no end", "8;;no end"),
        ("\x1b[1;2", "1;2"),
        ("10%\r20%", "10%20%"),
    ],
)
def test_only_what_a_terminal_obeys_is_taken_out(text: str, shown: str) -> None:
    assert shown_text(text) == shown


def test_json_means_the_same_and_is_harmless() -> None:
    text = shown_json(json.dumps({"said": HOSTILE + "\u2028"}, ensure_ascii=False))
    assert not OBEYED.search(text)
    assert json.loads(text) == {"said": HOSTILE + "\u2028"}


def test_a_terminal_without_the_characters_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    output.say("caf\u00e9", flush=True)
    assert stream.buffer.getvalue() == b"caf\\xe9\n"  # type: ignore[attr-defined] # what is below is a BytesIO


def test_a_table_on_a_terminal_is_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    print_table([{"name": HOSTILE}], {"NAME": "name"}, empty="")
    own = re.sub(r"\x1b\[[\d;]*m", "", terminal.getvalue())  # the colours of the table itself
    assert (OBEYED.search(own), "red" in own, "title" in own) == (None, True, False)


@pytest.fixture
def ostler(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> Generator[CommandLine]:
    with clean_place(state_dir) as place:
        config = Path(place.config_dir)
        (config / "serviceclasses").mkdir(parents=True)
        (config / "serviceclasses" / "hostile.yaml").write_text(CLASS.format(text=json.dumps(TEXT)))
        facts = {"word": TEXT, "url": f"http://h/{TEXT}"}
        content = [{"type": "text", "text": json.dumps(facts)}]
        tools = [
            {"name": name, "description": TEXT, "inputSchema": {"type": "object"}, "title": TEXT}
            for name in ("good", "bad")
        ]
        answers = {
            "tools/list": {"tools": tools},
            "tools/call": {
                "good": {"content": content, "structuredContent": facts, "isError": False},
                "bad": {"content": [{"type": "text", "text": TEXT}], "isError": True},
            },
        }
        (state_dir / "answers.json").write_text(json.dumps(answers))
        said = f"import sys; sys.stderr.write({TEXT!r}); sys.exit(1)"
        servers = {
            "canned": {"command": sys.executable, "args": [str(CANNED), str(state_dir / "answers.json")]},
            "dead": {"command": sys.executable, "args": ["-c", said]},
        }
        (config / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
        yield CommandLine(place, capsys)


@pytest.mark.realtime
def test_no_verb_passes_on_what_a_terminal_obeys(ostler: CommandLine) -> None:
    verbs = {
        "create hostile x": 0,
        "class show hostile": 0,
        "class show hostile --json": 0,
        "class search hostile": 0,
        "class draft canned --start good --stop bad": 0,
        "classes": 0,
        "classes --json": 0,
        "status x": 0,
        "status x --json": 0,
        "get x": 0,
        "open x --print": 1,
        "explain x": 0,
        "plan hostile y": 0,
        "ps": 0,
        "ps --wide": 0,
        "events": 0,
        "events x --json": 0,
        "logs x": 0,
        "tools canned": 0,
        "tools canned --json": 0,
        "call canned/good": 0,
        "call canned/good --json": 0,
        "call canned/bad": 1,
        "servers": 0,
        "servers --json": 0,
        "doctor": 1,
        "stop x": 1,
        "store export": 0,
    }
    silent: list[str] = []
    for verb, status in verbs.items():
        got = ostler.run(*verb.split())
        assert got == status, (verb, ostler.out, ostler.err)
        said = ostler.out + ostler.err
        assert not OBEYED.search(said), (verb, said)
        if "red" not in said:
            silent.append(verb)
    assert silent == ["create hostile x", "open x --print", "plan hostile y"]
