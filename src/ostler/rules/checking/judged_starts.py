"""Whether anything would notice that a start tool reported its failure in prose."""

from collections.abc import Iterator

from ostler.model.manifest import OutputSpec, ServiceClass, ToolCallSpec
from ostler.rules.checking.names import TOOLS
from ostler.rules.checking.tool_lists import KnownTools
from ostler.rules.templates.template import is_template
from ostler.rules.text.findings import Violation


def unjudged_start_violations(service_class: ServiceClass, tools: KnownTools) -> Iterator[Violation]:
    """Yield a start tool that answers in text, if nothing checks the text or the service."""
    lifecycle = service_class.tools
    start = lifecycle.start
    listed = tools.of(start.server)
    tool = listed.tools.get(start.tool_name) if listed else None
    if tool is None or tool.output_schema is not None:
        return
    looks = (lifecycle.ready, lifecycle.status, lifecycle.health_check)
    if _judges(start) or any(call is not None and _judges(call) for call in looks) or any(lifecycle.post_start):
        return
    message = f"{start.tool!r} answers in text, and nothing checks it: a failure in words counts as a success"
    fix = "write what a good answer says: expect: {contains: …}, a required output, or a ready or status check"
    yield Violation((*TOOLS, "start"), "unjudged-start", message, fix, at_key=True)


def _judges(call: ToolCallSpec) -> bool:
    """Whether an answer of `call` can be found wanting."""
    if call.expect is not None or call.expect_not is not None or call.batch is not None:
        return True
    return any(
        source.required and not source.has_default if isinstance(source, OutputSpec) else not is_template(source)
        for source in call.outputs.values()
    )
