"""The check of whole classes: everything that is known to be wrong before a tool is called."""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from ostler.model.errors import Finding
from ostler.model.manifest import OutputSpec, ServiceClass
from ostler.rules.checking.call_check import CallCheck, problem_violations
from ostler.rules.checking.class_dependencies import dependency_violations
from ostler.rules.checking.class_settings import calls_with_paths
from ostler.rules.checking.effects import effect_violations, text_violations
from ostler.rules.checking.expressions import shape_of_value
from ostler.rules.checking.judged_starts import unjudged_start_violations
from ostler.rules.checking.loaded_class import LoadedClass
from ostler.rules.checking.names import CONFIG
from ostler.rules.checking.paths import find_in_shape
from ostler.rules.checking.scopes import ClassScopes
from ostler.rules.checking.shapes import written_object
from ostler.rules.checking.spelling import spelling_violations
from ostler.rules.checking.timings import timing_violations
from ostler.rules.checking.tool_lists import KnownTools
from ostler.rules.templates.template import is_template
from ostler.rules.text.findings import Findings, Violation, by_place


class CheckResult(Struct, frozen=True):
    """What a check found.

    Attributes:
        findings: by file and place.
        classes: the names of the classes that could be loaded and were checked.
    """

    findings: tuple[Finding, ...]
    classes: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def errors(self) -> int:
        """How many findings are errors, not warnings."""
        return sum(finding.severity == "error" for finding in self.findings)


def check_loaded(
    loaded: LoadedClass, tools: KnownTools, classes: Mapping[str, ServiceClass] | None = None
) -> list[Finding]:
    """Return everything that is wrong with a class that could be loaded, by place.

    Args:
        loaded: the class with the places of its parts.
        tools: what is known about downstream servers.
        classes: every class that there is, for dependencies; the class itself need not be among them.
    """
    service_class, document = loaded.service_class, loaded.document
    known = {**(classes or {}), service_class.name: service_class}
    scopes = ClassScopes(service_class, tools, known)
    steps = [step for step, _ in service_class.tools.calls]
    calls = [(step, path, call) for step, (path, call) in zip(steps, calls_with_paths(service_class), strict=True)]
    checker = CallCheck(scopes, tools)
    findings = Findings(document)
    for step, path, call in calls:
        findings.add(checker.violations(step, path, call))
    findings.add(_config_violations(service_class, scopes, checker))
    findings.add(dependency_violations(service_class, scopes, known))
    findings.add(timing_violations(service_class, calls))
    findings.add(effect_violations(service_class, scopes, calls))
    findings.add(text_violations(document))
    findings.add(unjudged_start_violations(service_class, tools))
    findings.add(spelling_violations(service_class, calls))
    return by_place(dict.fromkeys((*loaded.warnings, *findings)))


def check_all(
    loaded: Sequence[LoadedClass], tools: KnownTools, classes: Mapping[str, ServiceClass] | None = None
) -> CheckResult:
    """Check classes that may depend on each other, and on `classes`."""
    known = {**(classes or {}), **{item.service_class.name: item.service_class for item in loaded}}
    findings = [finding for item in loaded for finding in check_loaded(item, tools, known)]
    return CheckResult(tuple(findings), tuple(item.service_class.name for item in loaded))


def _config_violations(service_class: ServiceClass, scopes: ClassScopes, checker: CallCheck) -> Iterator[Violation]:
    config = service_class.config
    if config.default_name is not None:
        typed = shape_of_value(config.default_name, scopes.before_name)
        yield from problem_violations((*CONFIG, "defaultName"), typed.problems)
    looked = service_class.tools.health_check or service_class.tools.status
    if config.completed is not None and looked is not None:
        yield from checker.completed((*CONFIG, "completed"), config.completed, looked, scopes.after_outputs)
    names = scopes.service_outputs_scope
    for name, source in config.outputs.items():
        path = (*CONFIG, "outputs", name)
        if isinstance(source, OutputSpec) and source.path is not None:
            yield from checker.missed((*path, "path"), find_in_shape(source.path, written_object(names)).missed)
        template = source.template if isinstance(source, OutputSpec) else source
        if template is not None and is_template(template):
            place = (*path, "template") if isinstance(source, OutputSpec) else path
            yield from problem_violations(place, shape_of_value(template, names).problems)
