"""What can be known to be wrong with a `batch` before anything is run."""

from collections.abc import Iterator

from ostler.model.errors import ExtractionError
from ostler.model.json import KeyPath
from ostler.model.manifest import ToolCallSpec
from ostler.rules.answers.queries import compile_path
from ostler.rules.templates.template import is_template, referenced_names, template_texts
from ostler.rules.text.findings import Violation

BATCH_STEPS = ("status", "healthCheck", "find")
"""Steps that one call can serve for many services."""

_OWN = ("name", "service", "start", "restart", "outputs", "find")
"""Names that differ from one instance to the next."""


def check_batch(path: KeyPath, call: ToolCallSpec) -> Iterator[Violation]:
    """Yield what is wrong with the `batch` of the tool call at `path`."""
    batch = call.batch
    if batch is None:
        return
    place = (*path, "batch")
    step = next(part for part in reversed(path) if isinstance(part, str))
    if step not in BATCH_STEPS:
        message = f"'batch' has no effect on {step!r}: it acts on, or waits for, one service at a time"
        fix = f"remove it; it is for {', '.join(BATCH_STEPS)}"
        yield Violation(place, "no-effect", message, fix, at_key=True)
        return
    yield from _check_path((*place, "items"), batch.items, at_key=False)
    for key in batch.match:
        yield from _check_path((*place, "match", key), key, at_key=True)
    own = sorted({name[0] for _, text in template_texts(call.args) for name in referenced_names(text)} & set(_OWN))
    if own:
        message = f"the args differ from one service to the next ({', '.join(own)}), so that no call can be shared"
        fix = "look for the service with 'match', and leave the args the same for all, or remove 'batch'"
        yield Violation(place, "no-effect", message, fix, at_key=True)
    if not any(isinstance(value, str) and is_template(value) for value in batch.match.values()):
        message = "'match' names nothing of the service, so that every service would get the same item"
        fix = 'write something such as name: "{{ name }}" or id: "{{ start.id }}"'
        yield Violation((*place, "match"), "bad-value", message, fix, at_key=True)


def _check_path(path: KeyPath, text: str, *, at_key: bool) -> Iterator[Violation]:
    try:
        compile_path(text)
    except ExtractionError as error:
        message, _, fix = error.summary.partition("; ")
        yield Violation(path, "bad-jmespath", message, fix, at_key=at_key)
