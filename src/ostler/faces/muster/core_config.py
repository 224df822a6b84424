"""muster's `core_config_…` tools over Ostler's settings, which are files that are watched."""

from ostler.faces.mcp.definitions import Call
from ostler.faces.mcp.surface import ApplicationLike
from ostler.faces.muster.core_tool import CoreAnswer, CoreTool
from ostler.model.json import JsonObject

_POLICY = "config_get"
"""The tool of Ostler's whose policy applies to all of them."""


async def config_get(app: ApplicationLike, args: JsonObject, call: Call) -> CoreAnswer:
    """Show the configuration in force."""
    del args, call
    return app.effective_config()


async def config_reload(app: ApplicationLike, args: JsonObject, call: Call) -> CoreAnswer:
    """Read all files again, as is done anyway after one has changed."""
    del args, call
    await app.reload_configuration()
    return "Configuration reloaded successfully"


async def config_save(app: ApplicationLike, args: JsonObject, call: Call) -> CoreAnswer:
    """Say that nothing is unsaved: whatever a tool changes is in its file before the tool answers."""
    del app, args, call
    return "Configuration saved successfully: every change is in its file before its tool answers"


CORE_CONFIG = (
    CoreTool("config_get", "Show the configuration in force", config_get),
    CoreTool("config_reload", "Read the configuration files again", config_reload, policy=_POLICY),
    CoreTool("config_save", "Say that every change is saved", config_save, policy=_POLICY),
)
