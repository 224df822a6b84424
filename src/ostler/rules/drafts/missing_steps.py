"""Steps that a class lacks, as a draft from its server's tools has them."""

from collections.abc import Sequence
from typing import cast

from ostler.model.errors import DefinitionError
from ostler.model.json import JsonObject
from ostler.rules.drafts.drafting import draft_class
from ostler.rules.drafts.tool_traits import Tool
from ostler.rules.text.yaml_source import load_documents


def drafted_step(server: str, tools: Sequence[Tool], start: str, stop: str, step: str) -> JsonObject | None:
    """Return the step of the class that would be drafted from `tools`; None when there is none.

    Args:
        server: the server's name.
        tools: its tools.
        start: the tool that starts.
        stop: the tool that stops.
        step: the step that is wanted, such as `status`.
    """
    try:
        draft = draft_class(server, tools, name="drafted", start=start, stop=stop)
    except DefinitionError:
        return None
    [document] = load_documents(draft.manifest, "draft")
    manifest = cast("JsonObject", document.value)
    return manifest["spec"]["serviceConfig"]["lifecycleTools"].get(step)
