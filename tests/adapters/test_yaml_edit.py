"""One entry of a YAML file added and removed, with everything else in it as it was."""

import pytest
import yaml

from ostler.adapters.config.yaml_edit import YamlEditError, remove_yaml_entry, set_yaml_entry

ENTRY = {"cmd": "uvx", "args": ["ostler", "serve"], "envs": {}, "enabled": True}

GOOSE = """\
# my Goose
GOOSE_PROVIDER: 'openai'   # kept
extensions:
    developer:      # built in
        enabled: true
        args: [ "a",
                "b" ]
    # about the last one
    last:
        text: |
            one

            two

# about the model
GOOSE_MODEL: "gpt"
"""
CONTINUE = """\
name: Mine
mcpServers:
- name: a   # first
  command: npx
- {name: b, command: uvx}
# rules
rules: []
"""


@pytest.mark.parametrize(
    ("text", "place", "listed"),
    [
        (GOOSE, "extensions", False),
        (CONTINUE, "mcpServers", True),
        (CONTINUE.replace("\n- ", "\n    - ").replace("\n  command", "\n      command"), "mcpServers", True),
        ("a: 1\nextensions:\n  x:\n    y: 1", "extensions", False),
        ("a: 1\nextensions:\n  x: &base\n    y: 1\n  z:\n    <<: *base\n", "extensions", False),
        ("extensions:\n  x: >-\n    long\n    text\n\n\nb: 1\n", "extensions", False),
        ('"extensions":\n  "ä @b": {y: 1} # c\n# end\n', "extensions", False),
        ("---\nextensions:\n  x: 1\n", "extensions", False),
    ],
)
def test_the_entry_comes_and_goes_and_the_rest_stays(text: str, place: str, listed: bool) -> None:
    added = set_yaml_entry(text, place, "ostler", ENTRY, as_list=listed)
    entries = yaml.safe_load(added)[place]
    assert (entries[-1] if listed else entries["ostler"]) == ({"name": "ostler", **ENTRY} if listed else ENTRY)
    lines = iter(added.splitlines())
    assert all(line in lines for line in text.splitlines()), "every line is there, in order"
    assert set_yaml_entry(added, place, "ostler", ENTRY) == added
    assert remove_yaml_entry(added, place, "ostler").rstrip("\n") == text.rstrip("\n")
    assert remove_yaml_entry(text, place, "ostler") == text
    changed = set_yaml_entry(added, place, "ostler", {"cmd": "other"})
    assert "uvx\n" not in changed.replace(text, "")
    assert remove_yaml_entry(changed, place, "ostler").rstrip("\n") == text.rstrip("\n")


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("", "extensions:\n"),
        ("# nothing yet\n", "# nothing yet\nextensions:\n"),
        ("a: 1\n", "a: 1\nextensions:\n"),
        ("extensions:\nb: 2\n", "extensions:\n  ostler:\n"),
        ("extensions: # none\nb: 2\n", "extensions: # none\n  ostler:\n"),
        ("extensions: {}\nb: 2\n", "extensions:\n  ostler:\n"),
        ("extensions: {} # none\nb: 2\n", "extensions: # none\n  ostler:\n"),
        ("extensions: null\nb: 2\n", "extensions:\n  ostler:\n"),
        ("extensions: ~\n", "extensions:\n  ostler:\n"),
    ],
)
def test_where_there_is_no_entry_yet(text: str, begins: str) -> None:
    added = set_yaml_entry(text, "extensions", "ostler", ENTRY)
    assert added.startswith(begins)
    removed = remove_yaml_entry(added, "extensions", "ostler")
    assert yaml.safe_load(removed)["extensions"] == {}
    assert (yaml.safe_load(removed) | {"extensions": 0}) == ((yaml.safe_load(text) or {}) | {"extensions": 0})


def test_a_comment_below_the_entry_is_about_what_follows() -> None:
    text = "extensions:\n  # about us\n  ostler:\n    cmd: x\n  # about b\n  b:\n    cmd: y\n"
    assert remove_yaml_entry(text, "extensions", "ostler") == (
        "extensions:\n  # about us\n  # about b\n  b:\n    cmd: y\n"
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("extensions: {a: {cmd: x}}\n", "one line"),
        ("extensions: text\n", "has no entries"),
        ("- a\n", "not a mapping"),
        ("a: [\n", "not valid YAML"),
        ("extensions:\n  a: 1\nextensions:\n  b: 1\n", "twice"),
        ("{extensions: {}}", "block style"),
        ("a: 1\n...\n", "not valid YAML|not edited here"),
    ],
)
def test_other_forms_are_left_as_they_are(text: str, why: str) -> None:
    with pytest.raises(YamlEditError, match=why):
        set_yaml_entry(text, "extensions", "ostler", ENTRY)
