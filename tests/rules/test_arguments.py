"""Arguments are checked against their declaration, all problems at once, secrets unsaid."""

from itertools import product
from typing import Any

import pytest

from ostler.model.errors import ArgumentError
from ostler.model.manifest import ArgSpec
from ostler.rules.calls.arguments import args_json_schema, validate_args, value_problems
from ostler.rules.calls.bounded_schemas import schema_errors

SPECS = {
    "port": ArgSpec(type="integer", required=True, minimum=1, maximum=65535),
    "host": ArgSpec(default="localhost", pattern="^[a-z.]+$"),
    "mode": ArgSpec(enum=["fast", "safe"]),
    "tags": ArgSpec(type="array", items={"type": "string"}),
    "options": ArgSpec(type="object"),
    "ratio": ArgSpec(type="number", minimum=0.5),
    "debug": ArgSpec(type="boolean"),
    "password": ArgSpec(secret=True, pattern="^[a-z]+$"),
    "pin": ArgSpec(type="integer", secret=True, maximum=9999),
    "region": ArgSpec(required=True, default="eu"),
}


QUOTES = "; write it in quotes, since a number loses the zeros around it"


def problems_of(args: dict[str, object]) -> tuple[str, ...]:
    with pytest.raises(ArgumentError, match=r"^arg validation failed: ") as caught:
        validate_args(SPECS, args)
    return caught.value.problems


def test_defaults_are_filled_in_and_satisfy_required_args() -> None:
    assert validate_args(SPECS, {"port": 80}) == {"port": 80, "host": "localhost", "region": "eu"}


def test_null_for_what_may_be_left_out_is_not_given() -> None:
    assert validate_args(SPECS, {"port": 80, "host": None, "mode": None, "password": None}) == validate_args(
        SPECS, {"port": 80}
    )


def test_a_whole_number_is_an_integer() -> None:
    port = validate_args(SPECS, {"port": 80.0})["port"]
    assert (port, type(port)) == (80, int)


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        ({}, "missing required argument 'port'"),
        ({"port": "abc"}, "invalid type for argument 'port': expected integer, got string \"abc\""),
        ({"port": True}, "invalid type for argument 'port': expected integer, got boolean true"),
        ({"port": None}, "invalid type for argument 'port': expected integer, got null"),
        ({"port": 99999}, "argument 'port': 99999 is greater than the maximum of 65535"),
        ({"port": 0}, "argument 'port': 0 is less than the minimum of 1"),
        ({"port": 1, "ratio": 0.1}, "argument 'ratio': 0.1 is less than the minimum of 0.5"),
        ({"port": 1, "host": 3}, "invalid type for argument 'host': expected string, got integer 3" + QUOTES),
        ({"port": 1, "host": "A"}, "argument 'host': \"A\" does not match the pattern '^[a-z.]+$'"),
        ({"port": 1, "mode": "slow"}, 'argument \'mode\': "slow" is not one of "fast", "safe"'),
        ({"port": 1, "tags": ["a", 1]}, "invalid type for argument 'tags[1]': expected string, got integer 1" + QUOTES),
        ({"port": 1, "options": []}, "invalid type for argument 'options': expected object, got array []"),
        ({"port": 1, "debug": "yes"}, "invalid type for argument 'debug': expected boolean, got string \"yes\""),
    ],
)
def test_each_problem_in_words(args: dict[str, object], problem: str) -> None:
    assert problems_of(args) == (problem,)


def test_what_is_plain_is_judged_as_json_schema_does() -> None:
    kinds = ["string", "integer", "number", "boolean"]
    rules: list[dict[str, Any]] = [{}, {"enum": ["a", "0"]}, {"enum": [0, 1, True]}, {"pattern": "^a+$"}]
    rules += [
        {"pattern": "("},
        {"minimum": 0},
        {"maximum": 1},
        {"minimum": 1, "maximum": 0},
        {"enum": ["b"], "maximum": 0},
    ]
    values = ["", "a", "aa", "0", 0, 1, -2, 2, 0.0, 1.5, True, False, None]
    items = [True, False, {}, {"type": "integer", "minimum": 1}, {"type": "object"}]
    items += [{"type": "array", "items": each} for each in items]
    lists = [[], [1], [0], ["a"], [True], [None], [{}], [[]], [[1]], [["a"], 1], {}, "a"]
    of_lists = product(["array"], [{}, *({"items": each} for each in items)], lists)
    for kind, rule, value in (*product(kinds, rules, values), *of_lists):
        spec = ArgSpec().model_copy(
            update={"type": kind, **rule}
        )  # which checks nothing: classes have no such patterns
        judged = bool(schema_errors({"type": kind, **rule}, value))
        assert bool(list(value_problems("a", spec, value))) == judged, (kind, rule, value)


def test_all_problems_come_at_once() -> None:
    found = problems_of({"prot": 1, "mode": 3, "debug": "x"})
    assert len(found) == 4
    assert found[0].startswith("unknown argument 'prot'; did you mean 'port'? (known: port, host")


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("cwd", "directory"),
        ("workingDir", "directory"),
        ("env", "environment"),
        ("dir", "directory"),
        ("cmd", "command"),
    ],
)
def test_what_other_tools_call_an_argument_is_understood(wrong: str, right: str) -> None:
    specs = {name: ArgSpec() for name in ("command", "directory", "environment")}
    with pytest.raises(ArgumentError, match=f"unknown argument '{wrong}'; did you mean '{right}'?"):
        validate_args(specs, {wrong: "x"})


def test_values_of_secret_args_are_never_said() -> None:
    said = "; ".join(problems_of({"port": 1, "password": "HUNTER2", "pin": 123456}))
    assert "HUNTER2" not in said
    assert "123456" not in said
    assert "'password': it does not match" in said
    typed = "; ".join(problems_of({"port": 1, "password": 31337, "pin": "sesame"}))
    assert "31337" not in typed
    assert "sesame" not in typed


def test_an_expression_that_takes_forever_is_cut_off() -> None:
    specs = {"x": ArgSpec(pattern=r"^(a|a)*$")}
    with pytest.raises(ArgumentError, match="took longer"):
        validate_args(specs, {"x": "a" * 40 + "b"})


def test_all_items_of_a_list_are_checked_within_one_budget() -> None:
    specs = {"x": ArgSpec(type="array", items={"type": "string", "pattern": r"^(a|a)*$"})}
    with pytest.raises(ArgumentError, match=r"'x' takes more than 0\.25 s of processor time"):
        validate_args(specs, {"x": ["a" * 5000] * 5000})


def test_a_schema_that_refers_elsewhere_fetches_nothing() -> None:
    specs = {"x": ArgSpec(type="array", items={"$ref": "http://127.0.0.1:1/schema.json"})}
    with pytest.raises(ArgumentError, match="does not exist"):
        validate_args(specs, {"x": [1]})


def test_the_json_schema_asks_for_what_has_no_default() -> None:
    schema = args_json_schema(SPECS)
    assert schema["required"] == ["port"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["port"] == {"type": "integer", "minimum": 1, "maximum": 65535}


SENT_AS_TEXT: list[tuple[dict[str, object], object, object]] = [
    ({"type": "integer"}, "5173", 5173),
    ({"type": "integer"}, "-1", -1),
    ({"type": "number"}, "0.5", 0.5),
    ({"type": "number"}, "1e3", 1000.0),
    ({"type": "boolean"}, "true", True),
    ({"type": "boolean"}, "False", False),
    ({"type": "array"}, '["a", 1]', ["a", 1]),
    ({"type": "array", "items": {"type": "integer"}}, ["1", 2], [1, 2]),
    ({"type": "array", "items": {"type": "integer"}}, '["1", "2"]', [1, 2]),
    ({"type": "object"}, '{"a": "b"}', {"a": "b"}),
    ({"type": "string"}, "5173", "5173"),
]


@pytest.mark.parametrize(("spec", "sent", "taken"), SENT_AS_TEXT)
def test_a_text_that_stands_for_one_value_is_that_value(spec: dict[str, object], sent: object, taken: object) -> None:
    made = validate_args({"a": ArgSpec.model_validate(spec)}, {"a": sent})["a"]
    assert made == taken
    assert type(made) is type(taken)


def test_whole_numbers_of_models_are_text_where_text_is_asked_for() -> None:
    specs = {"version": ArgSpec(enum=["16", "17"]), "tags": ArgSpec(type="array", items={"type": "string"})}
    assert validate_args(specs, {"version": 16, "tags": [1, "a"]}, numbers_as_text=True) == {
        "version": "16",
        "tags": ["1", "a"],
    }
    for lost in (3.1, 16.0, 2**53):  # 3.10, 16.00 or a number that a client has rounded
        with pytest.raises(ArgumentError, match="write it in quotes"):
            validate_args({"a": ArgSpec()}, {"a": lost}, numbers_as_text=True)
    with pytest.raises(ArgumentError, match="got boolean true"):
        validate_args({"a": ArgSpec()}, {"a": True}, numbers_as_text=True)


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("integer", ""), ("integer", "0x10"), ("integer", "010"), ("integer", "1_000"), ("integer", "80 80"),
        ("integer", "five"), ("integer", True), ("number", "NaN"), ("number", "1e999"), ("number", ".5"),
        ("boolean", "yes"), ("boolean", "1"), ("boolean", 1), ("boolean", ""),
        ("array", "a, b"), ("array", "[1,"), ("array", "{}"), ("object", "[]"), ("object", ""),
    ],
)  # fmt: skip
def test_a_text_that_stands_for_nothing_is_refused(kind: str, sent: object) -> None:
    with pytest.raises(ArgumentError, match=f"expected {kind}"):
        validate_args({"a": ArgSpec.model_validate({"type": kind})}, {"a": sent})


def test_a_number_sent_as_text_is_still_checked_against_its_limits() -> None:
    with pytest.raises(ArgumentError, match="greater than the maximum of 10"):
        validate_args({"a": ArgSpec(type="integer", maximum=10)}, {"a": "11"})


def test_args_that_are_not_declared_are_taken_where_the_class_says_so() -> None:
    specs = {"port": ArgSpec.model_validate({"type": "integer", "default": 80})}
    assert validate_args(specs, {"mood": "calm"}, additional=True) == {"mood": "calm", "port": 80}
    with pytest.raises(ArgumentError, match="unknown argument 'mood'"):
        validate_args(specs, {"mood": "calm"})
    assert args_json_schema(specs, additional=True)["additionalProperties"] is True


@pytest.mark.parametrize("blank", ["", "  "])
def test_a_blank_path_is_not_given(blank: str) -> None:
    specs = {
        "home": ArgSpec(path=True, required=True, default="."),
        "data": ArgSpec(path=True),
        "note": ArgSpec(),
    }
    args = {"home": blank, "data": blank, "note": blank}
    assert validate_args(specs, args, folder="/srv/shop") == {"home": "/srv/shop", "note": blank}
    with pytest.raises(ArgumentError, match="missing required argument 'home'"):
        validate_args(specs, args)


def test_relative_paths_start_at_the_folder_that_is_known() -> None:
    specs = {
        "home": ArgSpec(path=True, required=True, default="."),
        "data": ArgSpec(path=True),
        "disks": ArgSpec(path=True, type="array", items={"type": "string"}),
    }
    given = {"data": "../data", "disks": ["a/./b", "/srv/c", "~/d", ""]}
    found = validate_args(specs, given, folder="/srv/shop")
    assert found == {"home": "/srv/shop", "data": "/srv/data", "disks": ["/srv/shop/a/b", "/srv/c", "~/d", ""]}
    assert validate_args(specs, {"home": "/x"}) == {"home": "/x"}
    with pytest.raises(ArgumentError) as caught:
        validate_args(specs, {"data": "data"})
    problem = (
        "argument 'data': \"data\" is relative, and the folder that it starts from is not known; give the whole path"
    )
    assert caught.value.problems == ("missing required argument 'home'", problem)
    assert caught.value.missing == ("home",)
