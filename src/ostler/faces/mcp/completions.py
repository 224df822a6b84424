"""Completion of the names in resource templates and prompts."""

from mcp.server import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CompleteRequestParams, CompleteResult, Completion, PromptReference

from ostler.faces.mcp.lifespan import Lifespan
from ostler.faces.mcp.prompts import PROMPTS
from ostler.faces.mcp.resources import TEMPLATES
from ostler.faces.mcp.surface import ApplicationLike

MAX_VALUES = 100
"""Values in one answer, by the protocol."""


class Completions:
    """Answers completion/complete."""

    def __init__(self, app: ApplicationLike) -> None:
        self._app = app

    async def complete(self, context: ServerRequestContext[Lifespan], params: CompleteRequestParams) -> CompleteResult:
        """Return the names that begin with what was typed, then those that contain it.

        Raises:
            MCPError: there is no such prompt, argument or template.
        """
        del context
        if isinstance(params.ref, PromptReference):
            known = self._of_prompt(params.ref.name, params.argument.name)
        else:
            known = self._of_template(params.ref.uri, params.argument.name)
        typed = params.argument.value.lower()
        begin = [name for name in known if name.lower().startswith(typed)]
        contain = [name for name in known if typed in name.lower() and not name.lower().startswith(typed)]
        values = begin + contain
        return CompleteResult(
            completion=Completion(values=values[:MAX_VALUES], total=len(values), has_more=len(values) > MAX_VALUES)
        )

    def _of_template(self, uri: str, argument: str) -> list[str]:
        if uri not in {template[0] for template in TEMPLATES} or argument != "name":
            raise MCPError(INVALID_PARAMS, f"no resource template {uri!r} has an argument {argument!r}")
        if uri.startswith("serviceclass://"):
            return self._classes()
        return self._services() if uri.startswith("service://") else []

    def _of_prompt(self, prompt: str, argument: str) -> list[str]:
        match prompt, argument:
            case "setup_service", "serviceClassName":
                return self._classes()
            case "diagnose_service", "name":
                return self._services()
            case "write_serviceclass", "server":
                return [str(entry["name"]) for entry in self._app.server_entries() if entry.get("name")]
            case _:
                known = next((item for item in PROMPTS if item.name == prompt), None)
                if known is None or argument not in {name for name, _, _ in known.arguments}:
                    raise MCPError(INVALID_PARAMS, f"no prompt {prompt!r} has an argument {argument!r}")
                return []

    def _services(self) -> list[str]:
        return [service.name for service in self._app.manager.registry.get_all()]

    def _classes(self) -> list[str]:
        return [entry.name for entry in self._app.classes.get_all()]
