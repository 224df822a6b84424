"""Secrets stay out of what is shown."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostler.model.json import JsonValue
from ostler.model.manifest import ArgSpec
from ostler.rules.secrets.masking import MASK, mask, secret_strings, shorten

SECRET = st.text(alphabet=st.characters(exclude_characters="*", exclude_categories=["Cs"]), min_size=4, max_size=12)
TEXT = st.text(max_size=30)


def leaves(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in [key, *leaves(item)]]
    if isinstance(value, list):
        return [text for item in value for text in leaves(item)]
    return [str(value)]


@given(st.lists(SECRET, min_size=1, max_size=3), TEXT, TEXT)
def test_no_secret_is_left_anywhere(secrets: list[str], before: str, after: str) -> None:
    text = before + "".join(secrets) + after
    value = {"a": [text, {text: secrets}], secrets[0]: text, "json": json.dumps({"s": secrets})}
    masked = leaves(mask(value, set(secrets)))
    assert not [(secret, text) for secret in secrets for text in masked if secret in text and secret not in MASK]


@given(st.recursive(TEXT | st.integers() | st.none(), lambda inner: st.lists(inner, max_size=3)))
def test_without_secrets_nothing_changes(value: object) -> None:
    assert mask(value, ()) == value


def test_overlapping_secrets_leave_no_rest() -> None:
    assert mask("xabcdefy", {"abcd", "cdef"}) == "x***y"


def test_a_short_secret_is_only_masked_as_a_whole_value() -> None:
    assert mask({"pin": "42", "n": 42, "text": "42 is in here", "other": 421}, {"42"}) == {
        "pin": MASK,
        "n": MASK,
        "text": "42 is in here",
        "other": 421,
    }


def test_a_secret_that_is_a_known_word_leaves_names_and_paths_readable() -> None:
    text = "web.shop logs to /logs/web_shop+1.log; hunter2"
    assert mask(text, ["shop", "hunter2"], known=["web", "shop"]) == text.replace("hunter2", "***")
    assert mask({"password": "shop"}, ["shop"], known=["shop"]) == {"password": "***"}


def test_a_secret_is_found_as_it_looks_in_json_text_urls_and_lines() -> None:
    secret = 'p"a s\\s/ü1'
    shown = mask([json.dumps({"k": secret}), "postgres://u:p%22a%20s%5Cs%2F%C3%BC1@h", repr(secret)], {secret})
    assert not [text for text in shown if "1" in text]
    key = "-----BEGIN KEY-----\nMIIEvQIBADAN\n-----END KEY-----"
    assert mask("line: MIIEvQIBADAN", {key}) == "line: ***"


def test_keys_are_masked_and_stay_apart() -> None:
    assert mask({"hunter2": 1, "sesame": 2}, {"hunter2", "sesame"}) == {"***": 1, "***'": 2}


def test_who_signs_in_with_a_secret_url_is_a_secret_in_other_urls() -> None:
    specs = {"server": ArgSpec(secret=True)}
    secrets = secret_strings(specs, {"server": "postgresql://shop:pw@127.0.0.1:5432/postgres"})
    assert mask("postgresql://shop:pw@127.0.0.1:5432/mine", secrets) == "postgresql://***@127.0.0.1:5432/mine"
    assert secret_strings(specs, {"server": "postgresql://127.0.0.1"}) == {"postgresql://127.0.0.1"}


def test_secret_strings_are_all_texts_and_numbers_of_secret_args() -> None:
    specs = {"a": ArgSpec(secret=True, type="object"), "b": ArgSpec(), "c": ArgSpec(type="integer", secret=True)}
    args = {"a": {"user": "u", "list": ["x", 3, True, None, ""]}, "b": "open", "c": 1234, "unknown": "z"}
    assert secret_strings(specs, args) == {"u", "x", "3", "1234"}


def test_credentials_in_command_lines_and_environments_are_secrets_and_words_in_plain_sight_are_not() -> None:
    args = {
        "arguments": ["-u", "root", "-phunter22", "--token", "abcdef12", "--pin", "1234"],
        "command": "mysql",
        "url": "http://app:s3same-x@h/",
        "environment": {"API_KEY": "k-123456", "POSTGRES_PASSWORD": "postgres", "MODE": "cluster-west-2024-production"},
        "image": "postgres:16",
        "shell": "echo basic tutorial; curl -H 'Authorization: Bearer b-1234567' token --verbose-flag",
        "port": 8080,
    }
    secrets = secret_strings({}, args)
    assert secrets >= {"hunter22", "abcdef12", "s3same-x", "k-123456", "b-1234567"}
    assert not secrets & {"1234", "postgres"}, "they would be found in any text"
    assert mask(args, secrets) == {
        **args,
        "arguments": ["-u", "root", "-p***", "--token", "***", "--pin", "***"],
        "url": "http://app:***@h/",
        "environment": {"API_KEY": "***", "POSTGRES_PASSWORD": "***", "MODE": "cluster-west-2024-production"},
        "shell": "echo basic tutorial; curl -H 'Authorization: Bearer ***' token --verbose-flag",
    }


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("mysql -pabc -u abc abc", "mysql *** -u abc abc"),
        ("redis-cli -a abc ping", "redis-cli *** ping"),
        ("tool --password 'abc' --env abc", "tool *** --env abc"),
        ("env PGPASSWORD=abc psql abc", "env *** psql abc"),
        ("psql postgres://me:abc@h/abc", "psql ***"),
        ("serve --token-file abc --level abc", "serve --token-file abc --level abc"),
        (["sh", "-c", "mysql -pabc"], ["sh", "-c", "mysql ***"]),
        (["redis-cli", "-a", "abc", "abc"], ["redis-cli", "-a", "***", "abc"]),
    ],
)
def test_a_short_credential_is_masked_where_it_stands(command: JsonValue, shown: JsonValue) -> None:
    secrets = secret_strings({}, {"command": command})
    assert mask({"command": command, "database": "abc"}, secrets) == {"command": shown, "database": "abc"}


@pytest.mark.parametrize("part", ["a", "a-", "eyJ", "a://", "a=", "Bearer x ", "password=abcdef", " --token abcdef1"])
def test_credentials_are_looked_for_in_no_time(part: str) -> None:
    began = time.thread_time()
    secrets = secret_strings({}, {"text": part * (200_000 // len(part))})
    assert len(secrets) <= 200
    assert time.thread_time() - began < 2, (
        "s of CPU time; where every way to split a word is tried it takes ten times that"
    )


@given(st.text(max_size=200) | st.lists(st.integers(), max_size=50), st.integers(min_value=0, max_value=100))
def test_shorten_keeps_to_the_limit(value: object, limit: int) -> None:
    shown = shorten(value, limit)
    assert len(shown if isinstance(shown, str) else json.dumps(shown)) <= limit
    if shown != value:
        assert isinstance(shown, str)


def test_shorten_says_how_much_there_was() -> None:
    assert shorten("x" * 100, 30) == "x" * 12 + "… (100 characters)"
    assert shorten([1, 2], 30) == [1, 2]
