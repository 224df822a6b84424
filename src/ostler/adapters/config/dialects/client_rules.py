"""The rules about tools that each client keeps in its files, next to its servers or apart from them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

from ostler.adapters.config.dialects.draft import exactly
from ostler.adapters.config.dialects.entry_places import SETTINGS, at
from ostler.adapters.config.dialects.patterns import globs_of
from ostler.adapters.config.dialects.tool_rules import Rule
from ostler.model.json import JsonObject, JsonValue, KeyPath, as_list, as_object, as_objects, as_texts

_ZED: Final = ("agent", "tool_permissions")
_CALLS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"Mcp\((?P<glob>[^)/]*/[^):]*)\)"), "/"),  # Copilot
    (re.compile(r"Mcp\((?P<glob>[^)]*)\)"), ":"),  # Cursor; in both, a server alone
    (re.compile(r"mcp(?:\((?P<glob>[^)]*)\))?"), "/"),  # Antigravity
    (re.compile(r"MCPTool(?:\((?P<glob>[^)]*)\))?"), "__"),  # Grok
)
"""How clients write a rule about the tools of MCP servers, and what they put between a server and its tool."""
_GLOB: Final = re.compile(r"[\w*?-]+")
_FOR_SOME_CALLS: Final = frozenset({
    "argsPattern", "commandPrefix", "commandRegex", "modes", "toolAnnotations", "subagent", "interactive",
})  # fmt: skip
"""Keys of Gemini CLI's rules that make one a rule about some calls only."""
_ECA: Final = frozenset({"eca"})
_CLINE: Final = frozenset({"cline"})
_GEMINI: Final = frozenset({"gemini"})
_OMP: Final = frozenset({"omp"})

TOOL_POLICIES: Final = frozenset({"permission", "tool.use"})
"""What opencode's policies about tools are called."""
SERVER_POLICIES: Final[Mapping[str, str]] = {"mcp.use": "", "integration.use": "mcp:", "integration.connect": "mcp:"}
"""What its policies about servers are called, and what comes before a server's name in them."""


def rules_in(root: JsonObject, clients: frozenset[str]) -> Iterator[list[Rule]]:
    """Yield lists of rules about tools: each must permit a tool, and in each the first rule that matches counts.

    Args:
        root: the file.
        clients: those whose file it may be.
    """
    yield list(_claude_rules(root))
    permissions = as_object(root.get("permissions"))
    if permissions.get("defaultMode") == "dontAsk" or permissions.get("denyInsteadOfPrompting") is True:
        # Claude Code then denies what is not allowed
        allowed = [_claude_glob(text) for text in as_texts(at(root, ("permissions", "allow")))]
        yield [*(Rule(glob, "mcp__{}__", permits=True) for glob in allowed), Rule("*", "mcp__{}__", permits=False)]
    yield [Rule(glob, "mcp__{}__", permits=False) for glob in _disabled_by_amp(root)]
    yield [rule for one in as_objects(at(root, ("amp.permissions",))) for rule in _amp_rule(one)]
    yield list(_omp_rules(root))
    yield list(_gemini_rules(root))
    if clients <= _GEMINI:
        yield list(_gemini_core(root))
    starting = str(root.get("default_agent") or "build")
    agents = (as_object(at(root, (key, starting))) for key in ("agent", "agents"))  # those that opencode starts with
    opencode = [rule for part in (root, *agents) for rule in _opencode_rules(part)]
    yield [*reversed(opencode)]  # there, the last one counts
    yield [*reversed(list(_opencode_policies(root)))]
    crush = as_texts(at(root, ("options", "disabled_tools")))
    yield [Rule(glob.removeprefix("mcp_"), "{}_", permits=False) for glob in crush]
    yield list(_vscode_rules(root))
    yield list(_zed_rules(root))
    yield list(_zed_profile(root))
    yield list(_gemini_policy(root))
    yield list(_goose_rules(root))
    yield [Rule(name, "", permits=False) for name in _continue_rules(root)]
    yield list(_augment_rules(root))
    yield list(_vibe_rules(root))
    yield list(_eca_rules(root))
    if clients <= _ECA:
        yield list(_eca_disabled(root) or ())
    if clients <= _CLINE:
        yield [Rule(exactly(name), "{}__", permits=False) for name in as_texts(root.get("disabledTools"))]
    yield from _openclaw_rules(root)
    yield from _kiro_rules(root)
    yield list(_junie_rules(root))


def _claude_rules(root: JsonObject) -> Iterator[Rule]:
    """What must not be called, or not without asking: Claude Code's rules, and those of clients that follow it."""
    for text in _forbidden(root):
        calls = [(match, between) for pattern, between in _CALLS if (match := pattern.fullmatch(text))]
        for match, between in calls:
            glob = match["glob"] or "*"
            yield Rule(glob if between in glob else f"{glob}{between}*", f"{{}}{between}", permits=False)
        glob = _claude_glob(text.partition("(")[0])
        if not calls and (glob.startswith("mcp__") or "*" in glob):
            yield Rule(glob, "mcp__{}__", permits=False)


def _forbidden(root: JsonObject) -> Iterator[str]:
    for key in ("permissions", "permission"):  # the second in Grok and Kimi Code
        rules = as_object(root.get(key))
        yield from (*as_texts(rules.get("deny")), *as_texts(rules.get("ask")))
        for rule in as_objects(rules.get("rules")):
            if rule.get("decision", rule.get("action")) != "allow":
                tool, pattern = rule.get("tool"), str(rule.get("pattern") or "*")
                yield pattern if tool is None else f"{tool}({pattern})"


def _claude_glob(text: str) -> str:
    """Return a rule that names a server alone as one about all of its tools."""
    rest = text.removeprefix("mcp__")
    return text if rest == text or "__" in rest else f"{text}__*"


def _disabled_by_amp(root: JsonObject) -> Iterator[str]:
    for glob in as_texts(at(root, ("amp.tools.disable",))):
        if not glob.startswith("builtin:"):
            yield glob
            if not glob.startswith("mcp__"):  # the name of a tool alone, whichever server has it
                yield f"mcp__*__{glob}"


def _amp_rule(rule: JsonObject) -> Iterator[Rule]:
    """A rule of Amp. One that is about some input only never allows a tool, but denies it if it denies that input."""
    is_partial = bool(rule.get("matches")) or rule.get("context") is not None
    permits = rule.get("action") == "allow"
    if not (permits and is_partial):
        yield Rule(str(rule.get("tool", "*")), "mcp__{}__", permits=permits)


def _gemini_rules(root: JsonObject) -> Iterator[Rule]:
    # Gemini CLI's and Qwen Code's own tools are among them
    for path in (("tools", "exclude"), ("excludeTools",), ("tools", "confirmationRequired"), ("tools", "disabled")):
        for text in as_texts(at(root, path)):
            name = text.partition("(")[0].removeprefix("mcp_").lstrip("_")
            yield Rule(name, "{}_", permits=False)
            yield Rule(name, "{}__", permits=False)
            yield Rule(f"*__{name}", "{}__", permits=False)


def _omp_rules(root: JsonObject) -> Iterator[Rule]:
    """What oh-my-pi does not call without asking, or not at all."""
    for name, policy in as_object(at(root, ("tools", "approval"))).items():
        if policy != "allow":
            yield Rule(name, "mcp__{}_", permits=False, is_plain=True)


def _gemini_core(root: JsonObject) -> Iterator[Rule]:
    """Gemini CLI's `tools.core`: any other tool, also of a server, is denied, unless `tools.allowed` has it."""
    core = at(root, ("tools", "core"))
    if isinstance(core, list):
        for text in (*as_texts(at(root, ("tools", "allowed"))), *as_texts(core)):
            yield from _policy_rule({"toolName": text}, permits=True)
        yield Rule("*", "", permits=False)


def _gemini_policy(root: JsonObject) -> Iterator[Rule]:
    """A file of Gemini CLI's policies: the rule with the highest priority counts, and checkers deny what they check."""
    for checker in as_objects(root.get("safety_checker")):
        yield from _policy_rule(checker, permits=False)
    for rule in sorted(as_objects(root.get("rule")), key=_priority, reverse=True):
        permits = rule.get("decision") == "allow"
        is_for_planning = rule.get("modes") == ["plan"]
        if not is_for_planning and not (permits and _FOR_SOME_CALLS & rule.keys()):
            yield from _policy_rule(rule, permits=permits)


def _priority(rule: JsonObject) -> float:
    priority = rule.get("priority")
    return priority if isinstance(priority, int | float) else 0


def _policy_rule(rule: JsonObject, *, permits: bool) -> Iterator[Rule]:
    given, server = rule.get("toolName"), rule.get("mcpName")
    for name in [str(given or "*")] if not isinstance(given, list) else as_texts(given):
        if isinstance(server, str):
            yield Rule(name, "", permits) if server == "*" else Rule(f"{server}/{name}", "{}/", permits)
        elif name == "*":
            yield Rule("*", "", permits)
        else:
            yield Rule(name, "mcp_{}_", permits)
            yield Rule(name, "{}__", permits)


def _goose_rules(root: JsonObject) -> Iterator[Rule]:
    """What the person has decided in Goose's `permission.yaml`; its list `smart_approve` is the client's own cache."""
    lists = as_object(root.get("user"))
    for name, permits in (("never_allow", False), ("always_allow", True), ("ask_before", False)):
        yield from (Rule(tool, "{}__", permits) for tool in as_texts(lists.get(name)))


def _continue_rules(root: JsonObject) -> Iterator[str]:
    """Yield the tools that Continue's `permissions.yaml` excludes, or wants to be asked about."""
    if root.keys() <= {"allow", "ask", "exclude"}:
        for text in (*as_texts(root.get("exclude")), *as_texts(root.get("ask"))):
            yield text.partition("(")[0]


def _augment_rules(root: JsonObject) -> Iterator[Rule]:
    """Augment's rules, in which the server's name follows that of the tool."""
    yield from (Rule(name, "", permits=False, suffix="_{}") for name in as_texts(root.get("removedTools")))
    for rule in as_objects(root.get("toolPermissions")):
        permits = as_object(rule.get("permission")).get("type") == "allow"
        yield Rule(str(rule.get("toolName")), "", permits, suffix="_{}")


def _opencode_rules(root: JsonObject) -> Iterator[Rule]:
    everything = at(root, ("permission",))
    if isinstance(everything, str):
        yield Rule("*", "{}_", permits=everything == "allow")
    for path in (("tools",), ("permission",)):
        for glob, rule in as_object(at(root, path)).items():
            parts = list(cast("JsonObject", rule).values()) if isinstance(rule, dict) else [rule]
            known = [part for part in parts if part in (True, False, "allow", "ask", "deny")]
            if known:
                yield Rule(glob, "{}_", permits=all(part in (True, "allow") for part in known))
    for rule in as_objects(root.get("permissions")):  # of its second version
        permits = rule.get("effect") == "allow"
        if isinstance(rule.get("action"), str) and not (permits and rule.get("resource", "*") != "*"):
            yield Rule(str(rule["action"]), "{}_", permits=permits)


def policies_in(root: JsonObject) -> Iterator[tuple[KeyPath, str, str, bool]]:
    """Yield opencode's policies: where they are, what is done, with which resource, and whether that is allowed."""
    for path in (("policies",), ("experimental", "policies")):
        for rule in as_objects(at(root, path)):
            yield path, str(rule.get("action")), str(rule.get("resource")), rule.get("effect") == "allow"


def _opencode_policies(root: JsonObject) -> Iterator[Rule]:
    """The policies about tools, whose resource is `TOOL:INPUT`; one that allows some input only allows no tool."""
    for _, action, resource, permits in policies_in(root):
        tool, _, value = resource.partition(":")
        if action in TOOL_POLICIES and (not permits or value == "*" or (not value and tool.endswith("*"))):
            yield Rule(tool, "{}_", permits)


def _vscode_rules(root: JsonObject) -> Iterator[Rule]:
    """The tools that VS Code never calls without asking: `tool`, or `server/tool` in newer versions."""
    for above in SETTINGS:
        for name, is_eligible in as_object(at(root, (*above, "chat.tools.eligibleForAutoApproval"))).items():
            if is_eligible is False:
                yield Rule(name, "{}/" if "/" in name else "", permits=False)


def _zed_rules(root: JsonObject) -> Iterator[Rule]:
    """`agent.tool_permissions`: a tool that is denied or to be confirmed, at least for some input, is denied."""
    for name, value in as_object(at(root, (*_ZED, "tools"))).items():
        rule = as_object(value)
        is_limited = bool(rule.get("always_deny") or rule.get("always_confirm"))
        if is_limited or rule.get("default") in ("deny", "confirm"):
            yield Rule(name, "mcp:{}:", permits=False)
        elif rule.get("default") == "allow":
            yield Rule(name, "mcp:{}:", permits=True)
    if at(root, (*_ZED, "default")) == "deny":
        yield Rule("*", "mcp:{}:", permits=False)


def _zed_profile(root: JsonObject) -> Iterator[Rule]:
    """The profile that Zed starts with: the tools of each server that it has switched on or off."""
    name = at(root, ("agent", "default_profile"))
    profile = as_object(at(root, ("agent", "profiles", name if isinstance(name, str) else "write")))
    for server, preset in as_object(profile.get("context_servers")).items():
        for tool, is_on in as_object(as_object(preset).get("tools")).items():
            yield Rule(f"{server}:{tool}", "{}:", permits=is_on is True)
    if profile.get("enable_all_context_servers") is False:
        yield Rule("*", "{}:", permits=False)


def vibe_lists(root: JsonObject) -> Iterator[tuple[str, list[str]]]:
    """Yield the lists of Mistral Vibe's tools as globs; where one has another pattern, nothing is known of the list."""
    for key in ("enabled_tools", "disabled_tools"):
        names = as_texts(root.get(key))
        globs = [glob for name in names for glob in _vibe_globs(name.strip())]
        if names and names == root.get(key) and None not in globs:
            yield key, [glob for glob in globs if glob is not None]


def _vibe_globs(name: str) -> Sequence[str | None]:
    """Return the globs of a name, which may have stars, or be a pattern that begins with `re:`."""
    if not name.startswith("re:"):
        return [name if _GLOB.fullmatch(name) or not name else None]
    try:
        re.compile(name.removeprefix("re:"))
    except re.error:  # matches nothing there
        return []
    except RecursionError:
        return [None]
    return globs_of(name.removeprefix("re:")) or [None]


def _vibe_rules(root: JsonObject) -> Iterator[Rule]:
    for name, tool in as_object(root.get("tools")).items():
        if as_object(tool).get("permission") in ("never", "ask"):
            yield Rule(name, "{}_", permits=False)
    lists = dict(vibe_lists(root))
    yield from (Rule(name, "{}_", permits=False, any_case=True) for name in lists.get("disabled_tools", ()))
    if "enabled_tools" in lists:
        yield from (Rule(name, "{}_", permits=True, any_case=True) for name in lists["enabled_tools"])
        yield Rule("*", "", permits=False)


def keys_obeyed(root: JsonObject, clients: frozenset[str]) -> set[str]:
    """Return the keys whose lists are read here as one client alone writes them; elsewhere they mean what no one knows.

    oh-my-pi's `enabledServers` forbids no server: it switches on what is off elsewhere.
    """
    found = {key for key, _ in vibe_lists(root)}
    disabled = root.get("disabledTools")
    if (clients <= _ECA and _eca_disabled(root) is not None) or (clients <= _CLINE and as_texts(disabled) == disabled):
        found.add("disabledTools")
    return found | ({"enabledServers"} if clients <= _OMP else set())


def _eca_parts(root: JsonObject) -> list[JsonObject]:
    """Return what ECA says of all of its agents, and of the one that it starts with."""
    named = (("agent", "defaultAgent", "code"), ("behavior", "defaultBehavior", "agent"))
    return [root, *(as_object(at(root, (key, str(root.get(first) or usual)))) for key, first, usual in named)]


def _eca_disabled(root: JsonObject) -> list[Rule] | None:
    """Return what ECA has disabled: servers, tools, and patterns over `SERVER__TOOL`; None if one is not a glob."""
    lists = [part.get("disabledTools") for part in _eca_parts(root)]
    names = [name for one in lists for name in as_texts(one)]
    every = [globs_of(name) for name in names]
    if any(one is not None and as_texts(one) != one for one in lists) or None in every:
        return None
    globs = [glob for one in every for glob in one or ()]
    of_servers = [Rule(glob if "__" in glob else f"{glob}__*", "{}__", permits=False) for glob in globs]
    return [*of_servers, *(Rule(glob, "", permits=False) for glob in globs if "__" not in glob)]


def _eca_rules(root: JsonObject) -> Iterator[Rule]:
    """ECA's `toolCall.approval`, in which a selector is `SERVER__TOOL`, or a server alone; a default counts last.

    A rule about some arguments denies its tool, and allows none.
    """
    approval: JsonObject = {}
    for part in _eca_parts(root):
        approval |= as_object(at(part, ("toolCall", "approval")))
    for key, permits in (("deny", False), ("ask", False), ("allow", True)):
        for selector, condition in as_object(approval.get(key)).items():
            if not (permits and condition):
                yield Rule(selector if "__" in selector else f"{selector}__*", "{}__", permits)
    if approval.get("byDefault") in ("ask", "deny"):
        yield Rule("*", "", permits=False)


def _openclaw_rules(root: JsonObject) -> Iterator[list[Rule]]:
    """Yield OpenClaw's policies of tools: that of all agents, and that of the agent that it starts with.

    A policy for the provider of a model counts as far as it denies, and as a whole for a model that the agent uses.
    """
    named = as_object(at(root, ("agents", "entries")))
    agents = [*as_objects(at(root, ("agents", "list"))), *map(as_object, named.values())]
    first = next((agent for agent in agents if agent.get("default") is True), agents[0] if agents else {})
    models = [
        _plain(name) for name in _openclaw_models(first.get("model") or at(root, ("agents", "defaults", "model")))
    ]
    for policy in (as_object(root.get("tools")), as_object(first.get("tools"))):
        yield _openclaw_policy(policy)
        providers = {_plain(name): as_object(value) for name, value in as_object(policy.get("byProvider")).items()}
        for one in providers.values():
            yield _openclaw_policy(one if not models else {"deny": one.get("deny")})
        for name in models:
            yield _openclaw_policy(providers.get(name) or providers.get(name.partition("/")[0]) or {})


def _openclaw_models(model: JsonValue) -> list[str]:
    """Return the models of an agent as `PROVIDER/MODEL`, the one that it falls back to included."""
    fields = as_object(model) or {"primary": model}
    return as_texts([fields.get("primary"), *as_list(fields.get("fallbacks"))])


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9/]", "", name.lower())


def _openclaw_policy(policy: JsonObject) -> list[Rule]:
    rules = [rule for name in as_texts(policy.get("deny")) for rule in _openclaw_tools(name, permits=False)]
    allowed = [*as_texts(policy.get("allow")), *as_texts(policy.get("alsoAllow"))]
    if as_texts(policy.get("allow")) or policy.get("profile") == "minimal":
        rules += [rule for name in allowed for rule in _openclaw_tools(name, permits=True)]
        rules.append(Rule("*", "{}__", permits=False))
    return rules


def _openclaw_tools(name: str, *, permits: bool) -> Iterator[Rule]:
    yield Rule("*" if name in ("bundle-mcp", "group:plugins") else name, "{}__", permits)


def _kiro_rules(root: JsonObject) -> Iterator[list[Rule]]:
    """Yield Kiro's `permissions.yaml`, in which whatever one rule denies or asks for no other one allows."""
    for rule in as_objects(root.get("rules")):
        if rule.get("capability") in ("mcp", "all") and rule.get("effect") in ("deny", "ask"):
            is_for_mcp = rule["capability"] == "mcp"  # the patterns of `all` are of paths and commands, too
            excepted = as_texts(rule.get("exclude")) if is_for_mcp else []
            match = rule.get("match") if is_for_mcp else None
            matched = [match] if isinstance(match, str) else as_texts(match) or ["*"]
            yield [Rule(glob, "{}/", permits=glob in excepted) for glob in (*excepted, *matched)]


def _junie_rules(root: JsonObject) -> Iterator[Rule]:
    """Junie's `allowlist.json`, in which the first rule that matches `server:tool` counts."""
    for rule in as_objects(at(root, ("rules", "mcpTools", "rules"))):
        prefix, pattern = rule.get("prefix"), rule.get("pattern")
        glob = f"{exactly(prefix)}*" if isinstance(prefix, str) else str(pattern or "*").replace("**", "*")
        yield Rule(glob, "{}:", permits=rule.get("action") == "allow")


def granted_in(root: JsonObject) -> Iterator[tuple[Rule, ...]]:
    """Yield what is granted server by server.

    The last policy of opencode about a server counts. Plugins of Claude Code that are switched off grant nothing;
    neither does a list of tools next to the servers that does not name one: `@server`, `@server/tool`, `server/tool`,
    or in Claude Code's form.
    """
    for plugin, is_on in as_object(root.get("enabledPlugins")).items():
        if is_on is False:
            yield (Rule(f"plugin:{plugin.partition('@')[0]}:*", "{}", permits=False),)
    for action, prefix in SERVER_POLICIES.items():
        about = [(resource, permits) for _, one, resource, permits in policies_in(root) if one == action]
        yield tuple(Rule(f"{glob}/*", f"{prefix}{{}}/", permits) for glob, permits in reversed(about))
    value = root.get("tools")
    names = as_texts(value)
    if not isinstance(value, list) or "*" in names or names != value:
        return
    rules: list[Rule] = []
    for text in names:
        if text.startswith("mcp__"):
            rules.append(Rule(_claude_glob(text), "mcp__{}__", permits=True))
        elif text.startswith("@") or "/" in text:
            plain = text.removeprefix("@")
            rules.append(Rule(plain if "/" in plain else f"{plain}/*", "{}/", permits=True))
    yield (*rules, Rule("*", "{}/", permits=False))
