"""The policy on every call, lifecycle calls included: which tools, and how large their arguments."""

from ostler.model.downstream_errors import ToolDeniedError
from ostler.model.json import JsonMapping, encoded
from ostler.model.settings import Settings


def check_call(settings: Settings, tool: str, args: JsonMapping) -> None:
    """Let a call of `server/tool` with `args` pass.

    Raises:
        ToolDeniedError: the policy forbids the tool, or the arguments are too large.
    """
    if not settings.policy.allows(tool):
        raise ToolDeniedError(
            f"tool {tool!r} is denied by the policy of this Ostler",
            tool=tool,
            next_actions=("allow it under [policy] in ostler.toml",),
        )
    size = len(encoded(dict(args)))
    limit = settings.limits.max_args_bytes
    if size > limit:
        raise ToolDeniedError(
            f"the arguments for {tool!r} take {size} bytes, more than the limit of {limit}",
            tool=tool,
            next_actions=("send less", "or raise limits.maxArgsBytes in ostler.toml"),
        )
