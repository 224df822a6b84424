"""muster's form of manifests, as one that Ostler reads."""

from typing import TYPE_CHECKING

from msgspec import Struct

from ostler.model.json import JsonMapping, as_object
from ostler.model.tool_names import ToolNames
from ostler.rules.text.yaml_source import Document

if TYPE_CHECKING:
    from ostler.rules.loading.manifest_formats import Translation

_OTHER_KINDS = {
    "MCPServer": "downstream servers belong in mcp.json: give it the server's command and args, or its url",
    "ServiceInstance": "make the service with service_create, or write it in the services of an ostler.yaml",
    "Workflow": "Ostler has no workflows; call the tools of its steps by a class, or one by one",
}
"""What to do with the other kinds."""


_START_TOOL = ("spec", "serviceConfig", "lifecycleTools", "start", "tool")


class MusterFormat(Struct, frozen=True):
    """`muster.giantswarm.io/v1alpha1`."""

    name: str = "muster"
    version: str = "muster.giantswarm.io/v1alpha1"
    group: str = "muster.giantswarm.io/"

    def translate(self, document: Document, known: ToolNames) -> "Translation":
        """Return the ostler/v1 manifest of a ServiceClass of muster; its tool names are told apart by `known`."""
        from ostler.rules.muster.translation import translate_manifest  # noqa: PLC0415 (who has none, loads faster)

        return translate_manifest(document, known, self.version)

    def fix_of_kind(self, manifest: JsonMapping) -> str:
        """Return where another kind of muster belongs."""
        kind = str(manifest.get("kind"))
        if kind == "MCPServer":
            from ostler.rules.muster.servers import mcp_json_entry  # noqa: PLC0415 (who has none, loads faster)

            if entry := mcp_json_entry(manifest):
                return f"write it in mcp.json, under 'mcpServers': {entry}"
        return _OTHER_KINDS.get(kind, "")

    def recognises(self, manifest: JsonMapping) -> bool:
        """Whether a ServiceClass without apiVersion is muster's: its start tool is named as only muster's are."""
        if "apiVersion" in manifest or manifest.get("kind", "ServiceClass") != "ServiceClass":
            return False
        found: object = manifest
        for key in _START_TOOL:
            found = as_object(found).get(key)
        return isinstance(found, str) and found.startswith(("x_", "core_"))

    def older_form(self, manifest: JsonMapping) -> str:
        """Return that a manifest without apiVersion, with `serviceConfig` at its top, is of muster's first form."""
        if "apiVersion" in manifest or "serviceConfig" not in manifest:
            return ""
        return "this is the form that muster had before it had an apiVersion, which is not read"


MUSTER = MusterFormat()
