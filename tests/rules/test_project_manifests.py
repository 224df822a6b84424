"""`ostler.yaml`: what is read, and every problem with its line and its fix."""
# ruff: noqa: E501 (one case a line)

from itertools import pairwise

import pytest
from tests.support.world import manifest

from ostler.model.errors import ArgumentError, ManifestError
from ostler.model.policies import IdleStopSpec
from ostler.model.projects import Overrides
from ostler.rules.calls.overrides import overridden, overridden_args
from ostler.rules.loading.projects import load_project, ports_asked_twice
from ostler.rules.reading import load_manifests

STACK = """\
kind: Project
name: shop
services:
  web:
    class: dev-server
    dependsOn: {api: healthy, mail: {required: false}}
    restartPolicy: on-failure
  api:
    class: dev-server
    dependsOn: migrate
    env: {DATABASE_URL: "{{ services.db.outputs.connectionString }}", WORKERS: 2, DEBUG: true}
    envFile: .env
  migrate: {class: command, dependsOn: [db]}
  mail: {class: command}
  db: {class: postgresql, shared: true}
"""


def problems(text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(ManifestError) as caught:
        load_project(text, "ostler.yaml")
    return [(finding.line, finding.rule, finding.fix) for finding in caught.value.findings]


def test_services_come_after_what_they_need_and_short_forms_are_read() -> None:
    loaded = load_project(STACK)
    assert set(loaded.order) == {"web", "api", "migrate", "mail", "db"}
    for name in loaded.order:
        assert all(loaded.order.index(needed) < loaded.order.index(name) for needed in loaded.needs(name))
    assert loaded.needs("web") == {"api": "healthy", "mail": "started"}
    api = loaded.project.services["api"]
    assert (api.env["WORKERS"], api.env["DEBUG"], api.env_file) == ("2", "true", (".env",))
    # a service whose outputs a template names is needed, though no one wrote so
    assert loaded.needs("api") == {"db": "started", "migrate": "started"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("services: {a: npm run dev}", [(1, "bad-type", "give it keys: 'class: command' ('dev-server' for what has a URL, 'job' for what ends), and the command under 'args'")]),
        ("services:\n  a:\n    class: c\n    command: npm run dev\n    ports: ['80:80']\n    environment: {A: b}\n    image: x", [
            (4, "unknown-key", "write 'class: command' ('dev-server' for what has a URL, 'job' for what ends), and the command under 'args'"),
            (5, "unknown-key", "write 'port' under 'args', if the class takes it"),
            (6, "unknown-key", "write 'env'"),
            (7, "unknown-key", "name a class that runs containers, such as podman-container, and write 'image' under 'args'"),
        ]),
        ("services: {a: {class: c, dependsOn: [b]}}", [(1, "unknown-name", "add it under 'services'")]),
        ("services: {api: {class: c}, b: {class: c, dependsOn: [apl]}}", [(1, "unknown-name", "did you mean 'api'?")]),
        ("services: {my-db: {class: c}, b: {class: c, args: {a: '{{ services.my-db.outputs }}'}}}", [
            (1, "unknown-name", "templates here see services.NAME.outputs, project.name, project.directory and env"),
            (1, "unknown-name", "write services['my-db'] for 'my-db': '-' means minus in a template"),
        ]),
        ("services: {a: {clas: c}}", [(1, "missing-key", "add 'class'"), (1, "unknown-key", "did you mean 'class'?")]),
        ("kind: Projekt\nservices: {}", [(1, "unknown-kind", "write 'kind: Project'")]),
        ("services: {A: {class: c}}", [(1, "bad-name", "")]),
        ('services: {a: {class: c, args: {x: "{{ nope }}"}}}', [(1, "unknown-name", "templates here see services.NAME.outputs, project.name, project.directory and env")]),
        ('services: {a: {class: c, args: {x: "{{ 1 + }}"}}}', [(1, "template-syntax", "")]),
        ("services: {a: {class: c, env: {1x: y}}}", [(1, "bad-value", "")]),
        ("services: {a: {class: c, watch: ../x}}", [(1, "bad-value", "")]),
        ("services: {a: {class: c, lease: soon}}", [(1, "bad-duration", "")]),
        ("services: {a: {class: c, shared: true, dependsOn: [b]}, b: {class: c}}", [(1, "no-effect", "give 'b' 'shared: true', too")]),
        ("services:\n  a: {class: c, lease: soon, args: {x: '{{ nope }}'}}\n  b: {dependsOn: [nobody]}\n  c: {class: c, dependsOn: [b, none]}\n  d: {class: c, dependsOn: d, env: {1x: y}}\nextra: 1", [
            (2, "bad-duration", ""), (2, "unknown-name", "templates here see"), (3, "missing-key", "add 'class'"),
            (4, "unknown-name", "add it under"), (5, "dependency-cycle", "remove one"), (5, "bad-value", ""), (6, "unknown-key", ""),
        ]),
        ("services:\n  A: {class: c}\n  b:\n    class: .\n    lease: x\n    env:\n      1x: y\n      2x: y\n    watch: [a, ../x, /y]\n    args: {x: '{{ nope }}'}\n  c: {class: c, dependsOn: [A]}", [
            (2, "bad-name", ""), (4, "bad-name", ""), (5, "bad-duration", ""), (7, "bad-value", ""), (8, "bad-value", ""),
            (9, "bad-value", ""), (9, "bad-value", ""),
        ]),
        ("services: [a]", [(1, "bad-type", "")]),
    ],
)  # fmt: skip
def test_a_problem_has_its_line_its_rule_and_its_fix(text: str, expected: list[tuple[int, str, str]]) -> None:
    found = problems(text)
    assert [(line, rule) for line, rule, _ in found] == [(line, rule) for line, rule, _ in expected]
    for (_, _, fix), (_, _, wanted) in zip(found, expected, strict=True):
        assert fix.startswith(wanted)


def test_a_circle_is_named_whole_in_the_direction_of_the_needs() -> None:
    with pytest.raises(ManifestError) as caught:
        load_project(
            "services: {a: {class: c, dependsOn: [b]}, b: {class: c, dependsOn: [d]}, d: {class: c, dependsOn: [a]}}"
        )
    [finding] = caught.value.findings
    path = finding.message.rpartition(": ")[2].split(" -> ")
    assert path[0] == path[-1]
    assert set(path) == {"a", "b", "d"}
    needs = {"a": "b", "b": "d", "d": "a"}
    assert all(needs[user] == needed for user, needed in pairwise(path))


def test_any_text_may_be_the_port_of_a_service() -> None:
    text = "services: {a: {class: c, args: {port: %r}}, b: {class: c, args: {port: '00'}}}" % ("9" * 5000)
    project = load_project(text).project
    assert list(ports_asked_twice({name: spec.args for name, spec in project.services.items()})) == []


# -- what an instance changes of its class -----------------------------------------------------------------


def test_overrides_are_in_the_class_as_if_it_had_been_written_so() -> None:
    plain = manifest().service_class
    changes = load_project(
        "services: {a: {class: c, dependsOn: {b: healthy}, restartPolicy: always, healthCheck: {interval: 3s}}, b: {class: c}}"
    ).project.services["a"].overrides  # fmt: skip
    changed = overridden(plain, changes)
    assert changed.config.restart.policy == "always"
    assert changed.config.health.interval == 3.0
    [dependency] = changed.config.dependencies
    assert not isinstance(dependency, str)
    assert (dependency.name, dependency.alias, dependency.condition) == ("b", "b", "healthy")
    assert overridden(plain, Overrides()) is plain


def _class_with(start: str, args: str = "{}") -> str:
    return f"""\
apiVersion: ostler/v1
kind: ServiceClass
metadata: {{name: c}}
spec:
  args: {args}
  serviceConfig:
    lifecycleTools:
      start: {start}
      stop: {{tool: process/stop, args: {{key: x}}}}
"""


@pytest.mark.parametrize("value", ["plain", "{{ not a template }}", 'quote " and \\ back', "ü {% x %}", "{# c #}"])
def test_a_variable_reaches_the_program_as_it_is(value: str) -> None:
    from ostler.rules.templates.template import render

    text = _class_with("{tool: process/start, args: {key: x, command: y, env: {A: b}}}")
    changed = overridden(load_manifests(text)[0].service_class, Overrides(env={"V": value}))
    assert render(changed.tools.start.args["env"], {}) == {"A": "b", "V": value}


def test_variables_go_where_a_class_takes_them_or_are_refused() -> None:
    takes = load_manifests(
        _class_with(
            '{tool: w/go, args: {env: "{{ environment | default({}) }}"}}', "{environment: {type: object}}"
        )
    )[0].service_class  # fmt: skip
    changes = Overrides(env={"A": "1", "GONE": None})
    assert overridden_args(takes, changes, {"environment": {"A": "0", "B": "2", "GONE": "x"}}) == {
        "environment": {"A": "1", "B": "2"}
    }
    other = load_manifests(_class_with("{tool: w/go}"))[0].service_class
    with pytest.raises(ArgumentError, match="starts by 'w/go'"):
        overridden(other, changes)
    templated = load_manifests(
        _class_with('{tool: process/start, args: {key: x, command: y, env: "{{ vars }}"}}', "{vars: {type: object, required: true}}")
    )[0].service_class  # fmt: skip
    with pytest.raises(ArgumentError, match="by a template"):
        overridden(templated, changes)


def test_only_local_processes_are_stopped_because_no_one_uses_them() -> None:
    changes = load_project("services: {a: {class: c, idleStop: 30m}}").project.services["a"].overrides
    local = load_manifests(_class_with("{tool: process/start, args: {key: x, command: y}}"))[0].service_class
    assert overridden(local, changes).config.idle_stop == IdleStopSpec(after=1800.0)
    for wrong, said in (("soon", "'soon' is not a duration"), ("{cpuPercent: 5}", "idleStop needs 'after'")):
        with pytest.raises(ManifestError) as refused:
            load_project(f"services: {{a: {{class: c, idleStop: {wrong}}}}}")
        assert [said in str(finding) for finding in refused.value.findings] == [True]
    other = _class_with("{tool: w/go}")
    with pytest.raises(ArgumentError, match="idleStop: class 'c' starts by 'w/go'"):
        overridden(load_manifests(other)[0].service_class, changes)
    written = other.replace("serviceConfig:\n", "serviceConfig:\n    idleStop: 5m\n")
    with pytest.raises(ManifestError, match="'idleStop' has no effect: the use of what 'w/go' starts cannot be seen"):
        load_manifests(written)


def test_what_templates_name_is_needed_in_the_same_order_in_every_run() -> None:
    names = [f"s{number}" for number in range(12)]
    texts = [f'"{{{{ services.{name}.outputs.x }}}}"' for name in reversed(names)]
    services = "".join(f"  {name}: {{class: job}}\n" for name in names)
    loaded = load_project(f"services:\n{services}  web: {{class: job, args: {{all: [{', '.join(texts)}]}}}}\n")
    assert list(loaded.needs("web")) == sorted(names), "the order of a set differs from run to run"
