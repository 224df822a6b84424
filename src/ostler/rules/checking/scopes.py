"""The shapes of the names that a class's templates may use, at each place of the manifest."""

from collections.abc import Mapping, Sequence
from functools import cached_property

from msgspec.structs import replace

from ostler.model.manifest import ArgSpec, DependencySpec, OutputSpec, ServiceClass, ToolCallSpec
from ostler.rules.checking.expressions import shape_of_template
from ostler.rules.checking.names import BEFORE_START, RESERVED_NAMES, dependency_alias
from ostler.rules.checking.narrowing import Names
from ostler.rules.checking.paths import find_in_shape
from ostler.rules.checking.schemas import shape_of_schema
from ostler.rules.checking.shapes import (
    ANY,
    BOOLEAN,
    INTEGER,
    NULL,
    OBJECT,
    OF_KIND,
    TEXT,
    Shape,
    constant,
    list_of,
    union,
    written_object,
)
from ostler.rules.checking.tool_lists import KnownTools
from ostler.rules.templates.template import is_template

Classes = Mapping[str, ServiceClass]

_REPLACING = ("restart", "find")
"""Steps whose outputs take the place of start's."""

_MAX_DEPTH = 4


def shape_of_arg(spec: ArgSpec) -> Shape:
    """Return the shape of an arg's value, once defaults are filled in."""
    schema = {key: item for key, item in spec.json_schema().items() if key != "default"}
    shape = shape_of_schema(schema)
    if spec.has_default:
        return union([shape, NULL]) if spec.default is None else shape
    return shape if spec.required else shape.or_missing()


class ClassScopes:
    """The names of one class, by place, as shapes."""

    def __init__(self, service_class: ServiceClass, tools: KnownTools, classes: Classes, depth: int = 0) -> None:
        self._class = service_class
        self._tools = tools
        self._classes = classes
        self._depth = depth

    @property
    def before_name(self) -> Names:
        """What `defaultName` may use."""
        args = {name: shape_of_arg(spec) for name, spec in self._class.spec.args.items()}
        plain = {name: shape for name, shape in args.items() if name not in RESERVED_NAMES}
        together = OBJECT if self._class.spec.additional_args else written_object(args)
        return {**plain, "args": together, "env": OBJECT}

    @cached_property
    def without_dependencies(self) -> Names:
        """What dependencies may use."""
        return {**self.before_name, "name": TEXT, "service": written_object(self._service_facts)}

    @cached_property
    def _service_facts(self) -> Mapping[str, Shape]:
        metadata = written_object({"labels": OBJECT, "owner": TEXT, "purpose": TEXT})
        known = {"id": TEXT, "name": TEXT, "class": constant(self._class.name), "startKey": TEXT}
        return {**known, "folder": union([TEXT, NULL]), "mark": TEXT, "metadata": metadata}

    @cached_property
    def before_start(self) -> Names:
        """What `start` and `find` may use."""
        return {**self.without_dependencies, "dependencies": self._dependencies()}

    @cached_property
    def service_outputs_scope(self) -> Names:
        """What the service's outputs, and every step after the start, may use."""
        return {**self.before_start, **self._steps()}

    @property
    def after_outputs(self) -> Names:
        """What the steps of a service that runs may use."""
        return {**self.service_outputs_scope, "outputs": written_object(self.service_outputs)}

    @cached_property
    def service_outputs(self) -> Mapping[str, Shape]:
        """The shapes of the service's outputs."""
        names = self.service_outputs_scope
        made: dict[str, Shape] = {}
        for name, source in self._class.config.outputs.items():
            if isinstance(source, str):
                made[name] = shape_of_template(source, names)[0] if is_template(source) else constant(source)
            else:
                made[name] = self._specified(source, written_object(names), names)
        return made

    def step(self, step: str) -> Names:
        """Return what the tool call of `step` may use."""
        if step in BEFORE_START:
            return self.before_start
        if step in ("ready", "postStart", "stop", "stopped", "preStop"):
            return self.service_outputs_scope
        if step == "logs":
            asked = {"lines": INTEGER, "since": ANY.or_missing(), "search": TEXT.or_missing()}
            wanted = written_object({**asked, "newerThan": TEXT.or_missing()})
            service = written_object({**self._service_facts, "logs": wanted})
            return {**self.after_outputs, "service": service}
        if step == "sendInput":
            sent = written_object({"text": TEXT, "enter": BOOLEAN})
            return {**self.after_outputs, "service": written_object({**self._service_facts, "input": sent})}
        return self.after_outputs

    def answered(self, step: str, call: ToolCallSpec) -> Names:
        """Return what the outputs of the call of `step` may use: the answer, too."""
        return self._with_answer(self.step(step), call)

    def answer_of(self, call: ToolCallSpec) -> Shape:
        """Return the shape of the answer of `call`'s tool; of a batch, that of one item."""
        tools = self._tools.of(call.server)
        tool = tools.tools.get(call.tool_name) if tools else None
        answer = tool.answer if tool else ANY
        if call.batch is None:
            return answer
        items = find_in_shape(call.batch.items, answer).shape
        return items.items or ANY if "array" in items.kinds else ANY

    def outputs_of(self, call: ToolCallSpec, names: Names) -> dict[str, Shape]:
        """Return the shapes of the outputs of `call`, whose templates see `names`."""
        answer = self.answer_of(call)
        seen = self._with_answer(names, call)
        made: dict[str, Shape] = {}
        for name, source in call.outputs.items():
            if isinstance(source, OutputSpec):
                made[name] = self._specified(source, answer, seen)
            elif is_template(source):
                made[name] = shape_of_template(source, seen)[0]
            else:
                made[name] = find_in_shape(source, answer).shape.without_null()
        return made

    def _with_answer(self, names: Names, call: ToolCallSpec) -> Names:
        answer = self.answer_of(call)
        response = {"value": answer, "text": TEXT, "isError": BOOLEAN, "content": list_of(OBJECT), "structured": ANY}
        return {**names, "response": written_object(response)}

    @staticmethod
    def _specified(spec: OutputSpec, answer: Shape, names: Names) -> Shape:
        if spec.type is not None:
            shape = OF_KIND[spec.type]
        elif spec.path is not None:
            shape = find_in_shape(spec.path, answer).shape.without_null()
        elif spec.regex is not None:
            shape = TEXT
        elif spec.template is not None and is_template(spec.template):
            shape = shape_of_template(spec.template, names)[0]
        else:
            shape = constant(spec.template)
        if spec.has_default:
            return union([shape, constant(spec.default)])
        return shape if spec.required else union([shape, NULL])

    def _steps(self) -> dict[str, Shape]:
        tools = self._class.tools
        start = self.outputs_of(tools.start, self.before_start)
        names: Names = {**self.before_start, "start": written_object(start)}
        steps: dict[str, Shape] = {}
        for step, call in tools.calls:
            if step == "start" or "[" in step:
                continue
            made = self.outputs_of(call, self.before_start if step == "find" else {**names, "outputs": OBJECT})
            steps[step] = written_object({name: shape.or_missing() for name, shape in made.items()}).or_missing()
            if step in _REPLACING:
                start = {name: union([shape, made[name]]) if name in made else shape for name, shape in start.items()}
        return {**steps, "start": written_object(start)}

    def _dependencies(self) -> Shape:
        known: dict[str, Shape] = {}
        for dependency in self._class.config.dependencies:
            alias = dependency_alias(dependency)
            if alias is None:
                return OBJECT
            known[alias] = written_object({"name": TEXT, "state": TEXT, "outputs": self._outputs_of(dependency)})
        return written_object(known)

    def _outputs_of(self, dependency: str | DependencySpec) -> Shape:
        if isinstance(dependency, str) or dependency.service_class_name is None or self._depth >= _MAX_DEPTH:
            return OBJECT
        service_class = self._classes.get(dependency.service_class_name)
        if service_class is None:
            return OBJECT
        made = ClassScopes(service_class, self._tools, self._classes, self._depth + 1).service_outputs
        if dependency.required:
            return written_object(made)
        return replace(written_object({name: shape.or_missing() for name, shape in made.items()}), required=frozenset())


def mergeable(shapes: Sequence[Shape]) -> bool:
    """Return whether `shapes` have a kind in common, so that one name may stand for all of them."""
    kinds = shapes[0].kinds
    for shape in shapes[1:]:
        kinds = kinds & shape.kinds
    return bool(kinds)
