"""The table of keys: what each key of an entry means in each client, and what Ostler does with it.

Keys that no row has are refused when they speak of a limit (`limits`), and otherwise reported and left out.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final, cast

from ostler.adapters.config.dialects.draft import Draft
from ostler.adapters.config.dialects.key_rows import Key, limiting, passing, refusing, reported, taken
from ostler.adapters.config.dialects.limits import approvals, default_approval, speaks_of_limit, surfaces
from ostler.adapters.config.dialects.readings import (
    address,
    allowed,
    arguments,
    auto_start,
    bearer_token,
    bearer_variable,
    command,
    denied,
    environment_names,
    header_variables,
    merged,
    nested,
    noted,
    passed,
    refused,
    request_options,
    same,
    switch,
    token_variable,
    transport,
)
from ostler.adapters.config.dialects.sign_in import api_key, sign_in, sign_in_part
from ostler.adapters.config.dialects.times import (
    milliseconds,
    parts_or_milliseconds,
    read_time,
    seconds,
    seconds_if_likely,
    unknown_unit,
)
from ostler.model.json import JsonObject, JsonValue
from ostler.model.servers import OPTION_NAMES

_OFF: Final[JsonObject] = {"disabled": True}
_ONLY_GET: Final[JsonObject] = {"ostler": {"allowTools": ["get"]}}
_NO_DROP: Final[JsonObject] = {"ostler": {"denyTools": ["drop"]}}
_MINUTE: Final[JsonObject] = {"ostler": {"timeout": "60s"}}
_CONNECT: Final[JsonObject] = {"ostler": {"connectTimeout": "20s"}}
_A: Final[JsonObject] = {"env": {"A": "1"}}
_URL: Final[JsonObject] = {"url": "https://example.com/mcp"}
_X: Final[JsonObject] = {"headers": {"X": "1"}}

_APPROVAL = noted(
    "{key!r} has no effect: Ostler approves nothing, the client that asks Ostler does",
    "approve in that client, and limit with 'allowTools' under 'ostler'",
    severity="note",
)
_OAUTH = noted(
    "{key!r} is not used: Ostler finds out automatically how the server wants its clients to sign in",
    "ostler servers login NAME signs in; else send a token that does not expire under 'headers'",
    unless=(False, {}),
)
_SANDBOX = refused(
    "{key!r} confines the server's program, which Ostler cannot do, so the entry is not used",
    "remove {key!r} if the program may run unconfined, or start it in a container",
    unless=(False, {}),
)
_CLIENT_ONLY = noted("{key!r} has no effect in Ostler", severity="note", unless=(False, {}, []))
_FOREIGN_SIGN_IN = noted(
    "{key!r} is a way to sign in that Ostler does not have; the server will refuse it",
    "put a token under 'headers'",
    unless=("none", "dynamic_discovery", "oauth", {}, False),
)

KEYS: Final[tuple[Key, ...]] = (
    # What is started or connected to.
    taken("type", "*", "stdio", "the transport", {"type": "stdio"}, transport),
    taken("transport", "*", "stdio", "the transport, in some clients' words", {"type": "stdio"}, nested),
    taken("transport", "cline", {"type": "stdio", "command": "npx"}, "the server itself, in newer entries",
          {"type": "stdio", "command": "npx"}, nested),
    taken("transportType", "cline", "stdio", "the transport, in old entries", {"type": "stdio"}, transport),
    taken("command", "*", "npx", "the program", {"command": "npx"}, command),
    taken("command", "opencode", ["npx", "-y", "x"], "the program and its arguments",
          {"command": "npx", "args": ["-y", "x"]}, command),
    taken("command", "zed", {"path": "npx", "args": ["x"], "env": {"A": "1"}}, "program, arguments, environment",
          {"command": "npx", "args": ["x"], **_A}, command),
    taken("cmd", "goose", "npx", "the program", {"command": "npx"}, command),
    taken("args", "*", ["-y", "x"], "the arguments", {"args": ["-y", "x"]}, arguments),
    taken("arguments", "*", ["-y", "x"], "the arguments, in some clients' words", {"args": ["-y", "x"]}, arguments),
    taken("env", "*", {"A": "1"}, "variables set for the program", _A, merged("env")),
    taken("environment", "opencode", {"A": "1"}, "variables set for the program", _A, merged("env")),
    taken("envs", "goose", {"A": "1"}, "variables set for the program", _A, merged("env")),
    taken("envVars", "copilot", {"A": "1"}, "variables set for the program", _A, merged("env")),
    taken("envFile", "vscode cursor continue", ".env", "a file of variables", {"envFile": ".env"}, same("envFile")),
    taken("env_file", "*", ".env", "a file of variables, in some clients' words", {"envFile": ".env"},
          same("envFile")),
    taken("env_vars", "codex", ["HOME", {"name": "TOKEN"}], "variables that the program inherits",
          {"env": {"HOME": "${env:HOME}", "TOKEN": "${env:TOKEN}"}}, environment_names),
    taken("env_keys", "goose", ["TOKEN"], "variables that come from the keyring or the environment",
          {"env": {"TOKEN": "${env:TOKEN}"}}, environment_names),
    taken("cwd", "*", "/srv", "the folder that the program runs in", {"cwd": "/srv"}, same("cwd")),
    taken("workingDirectory", "junie", "/srv", "the folder that the program runs in", {"cwd": "/srv"}, same("cwd")),
    taken("working_directory", "warp", "/srv", "the folder that the program runs in", {"cwd": "/srv"}, same("cwd")),
    taken("url", "*", "https://example.com/mcp", "the address", _URL, address()),
    taken("url", "gemini", "https://example.com/mcp", "the address of an SSE server", {**_URL, "type": "sse"},
          address("sse")),
    taken("url", "mcpo cline", "https://example.com/mcp", "without a type, the address of an SSE server",
          {**_URL, "type": "sse"}, address("sse")),
    taken("httpUrl", "gemini", "https://example.com/mcp", "the address of a streamable HTTP server",
          {**_URL, "type": "http"}, address("http")),
    taken("serverUrl", "windsurf antigravity", "https://example.com/mcp", "the address", _URL, address()),
    taken("server_url", "warp", "https://example.com/mcp", "the address", _URL, address()),
    taken("baseUrl", "cherry", "https://example.com/mcp", "the address", _URL, address()),
    taken("uri", "goose", "https://example.com/mcp", "the address", _URL, address()),
    taken("headers", "*", {"X": "1"}, "headers of every request", _X, merged("headers")),
    taken("http_headers", "codex", {"X": "1"}, "headers of every request", _X, merged("headers")),
    taken("env_http_headers", "codex", {"X": "TOKEN"}, "headers whose values are in variables",
          {"headers": {"X": "${env:TOKEN}"}}, header_variables),
    taken("bearer_token_env_var", "codex", "TOKEN", "the variable that holds the bearer token",
          {"headers": {"Authorization": "Bearer ${TOKEN}"}}, bearer_variable),
    taken("bearer_token", "codex", "secret", "the bearer token",
          {"headers": {"Authorization": "Bearer secret"}}, bearer_token),
    taken("bearerTokenEnvVar", "kimi", "TOKEN", "the variable that holds the bearer token",
          {"headers": {"Authorization": "Bearer ${TOKEN}"}}, bearer_variable),
    taken("api_key_env", "vibe", "TOKEN", "the variable that holds a token; `api_key_header` and `api_key_format` say "
          "how it is sent", {"headers": {"Authorization": "Bearer ${env:TOKEN}"}}, token_variable),
    taken("requestOptions", "continue", {"headers": {"X": "1"}}, "headers, timeout and proxy of the requests", _X,
          request_options),
    taken("requestInit", "*", {"headers": {"X": "1"}}, "headers, as the TypeScript SDK takes them", _X,
          request_options),
    taken("ostler", "*", {"concurrency": 3}, "Ostler's own settings of the server", {"ostler": {"concurrency": 3}},
          merged("ostler")),
    # Limits.
    limiting("disabled", "*", True, "the server is switched off", _OFF, switch(off=True)),
    limiting("enabled", "*", False, "the server is switched off", _OFF, switch(off=False)),
    limiting("isActive", "cherry", False, "the server is switched off", _OFF, switch(off=False)),
    limiting("active", "*", False, "the server is switched off, in some clients' words", _OFF, switch(off=False)),
    limiting("disabledTools", "roo cline kiro amazon-q windsurf antigravity mcpo cherry droid kimi", ["drop"],
             "tools that may not be called", _NO_DROP, denied()),
    limiting("disabled_tools", "codex crush mcpo vibe", ["drop"], "tools that may not be called", _NO_DROP, denied()),
    limiting("excludeTools", "gemini amp", ["drop"], "tools that may not be called", _NO_DROP, denied()),
    limiting("excludedTools", "*", ["drop"], "tools that may not be called", _NO_DROP, denied()),
    limiting("exclude_tools", "*", ["drop"], "tools that may not be called", _NO_DROP, denied()),
    limiting("deniedTools", "*", ["drop"], "tools that may not be called", _NO_DROP, denied()),
    limiting("blockedTools", "*", ["drop"], "tools that may not be called", _NO_DROP, denied()),
    limiting("tools", "copilot", ["get"], "the only tools that may be called; `*` means all", _ONLY_GET, allowed()),
    limiting("tools", "mcphub", {"drop": {"enabled": False, "description": "x"}}, "tools that are switched off",
             _NO_DROP, approvals),
    limiting("tools", "claude-code", [{"name": "drop", "permission_policy": "always_deny"}],
             "how the calls of each tool are approved; one that asks is denied", _NO_DROP, approvals),
    limiting("toolPermissions", "claude-code", {"drop": "blocked"},
             "how the calls of each tool are approved; one that asks is denied", _NO_DROP, approvals),
    limiting("tools", "codex", {"drop": {"approval_mode": "prompt"}},
             "tools that a person must approve: they are denied", _NO_DROP, approvals),
    limiting("tools", "*", ["get"], "the only tools that may be called, or modes by tool", _ONLY_GET, approvals),
    limiting("default_tools_approval_mode", "codex", "auto", "how calls are approved; `prompt` refuses the entry", {},
             default_approval),
    limiting("omit_tools_from", "codex", ["direct", "deferred", "code_mode"],
             "how the client's model does not get the tools; all ways switch the server off", _OFF, surfaces),
    limiting("includeTools", "gemini", ["get(x)"], "the only tools that may be called", _ONLY_GET, allowed(exact=True)),
    limiting("includeTools", "amp", ["get*"], "globs of the only tools that may be called",
             {"ostler": {"allowTools": ["get*"]}}, allowed(globs=True)),
    limiting("includeTools", "*", ["get"], "the only tools that may be called", _ONLY_GET, allowed()),
    limiting("include_tools", "*", ["get"], "the only tools that may be called", _ONLY_GET, allowed()),
    limiting("enabledTools", "*", ["get"], "the only tools that may be called", _ONLY_GET, allowed()),
    limiting("enabled_tools", "codex crush", ["get"], "the only tools that may be called", _ONLY_GET,
             allowed(exact=True)),
    limiting("enabled_tools", "*", ["get"], "the only tools that may be called", _ONLY_GET, allowed()),
    limiting("allowedTools", "*", ["get"], "the only tools that may be called", _ONLY_GET, allowed()),
    limiting("allowed_tools", "*", ["get"], "the only tools that may be called", _ONLY_GET, allowed()),
    limiting("allowTools", "*", ["get*"], "globs of the only tools that may be called, as under `ostler`",
             {"ostler": {"allowTools": ["get*"]}}, allowed(globs=True)),
    limiting("denyTools", "*", ["drop"], "globs of the tools that may not be called, as under `ostler`", _NO_DROP,
             denied(globs=True)),
    limiting("available_tools", "goose", ["get"], "the only tools that may be called; an empty list means all",
             _ONLY_GET, allowed(empty_means_all=True)),
    limiting("startup", "librechat", False, "not connected at the start", {"ostler": {"autoStart": False}}, auto_start),
    limiting("start_on_launch", "warp", False, "not connected at the start", {"ostler": {"autoStart": False}},
             auto_start),
    *(
        limiting(name, "*", False, "not connected at the start", {"ostler": {"autoStart": False}}, auto_start)
        for name in ("autoStart", "autostart", "auto_start", "autoConnect", "auto_connect", "load_on_start")
    ),
    refusing("sandbox", "vscode", {"network": {}, "filesystem": {}}, "what the program may reach, unless it is off",
             lambda draft, key, value: (passed if draft.raw.get("sandboxEnabled") is False else _SANDBOX)(
                 draft, key, value)),
    refusing("sandboxEnabled", "vscode", True, "the program is confined", _SANDBOX),
    refusing("remote", "zed", True, "the program runs on the other machine of a remote session",
             refused("{key!r} starts the program on another machine, which Ostler cannot do",
                     "remove it if the program may run here", unless=(False,))),
    refusing("experimental_environment", "codex", "remote", "the program runs in another environment",
             refused("{key!r} starts the program somewhere else, which Ostler cannot do",
                     "remove it if the program may run here", unless=("local",))),
    refusing("environment_id", "codex", "devbox", "the program runs in another environment",
             refused("{key!r} starts the program somewhere else, which Ostler cannot do",
                     "remove it if the program may run here", unless=("local",))),
    refusing("socket", "goose", "/run/x.sock", "the requests go through a Unix socket",
             refused("{key!r} sends the requests through a Unix socket, which Ostler cannot do",
                     "remove it if the server may be reached at its address", unless=("",))),
    refusing("uses", "continue", "acme/files", "a block of the client's hub",
             refused("{key!r} names a block of Continue's hub, which Ostler cannot load",
                     "write the 'command' or 'url' that the block has")),
    refusing("packages", "*", "mcpb over stdio", "packages of a registry, of which Ostler can run none",
             refused("the server has no remote address, and no package that Ostler can start over stdio",
                     "write the 'command' that starts it")),
    refusing("client_header_forwarding", "mcpo", {"enabled": True}, "which of the caller's headers are passed on",
             refused("{key!r} decides which headers are passed on, which Ostler does not do", "remove it",
                     unless=(False, {}, {"enabled": False}))),
    # Times.
    taken("timeout", "opencode", {"startup": 20000, "execution": 60000}, "milliseconds, of each part or of a call",
          {"ostler": {"connectTimeout": "20s", "timeout": "60s"}}, parts_or_milliseconds),
    taken("timeout", "claude-code gemini librechat kiro amazon-q copilot lm-studio", 60000,
          "milliseconds that a call may take", _MINUTE, milliseconds("timeout")),
    taken("timeout", "cline roo zed goose cherry", 60, "seconds that a call may take", _MINUTE, seconds_if_likely),
    taken("timeout", "crush", 20, "seconds that connecting may take", _CONNECT, seconds("connectTimeout")),
    taken("timeout", "*", 60, "seconds, or milliseconds when the number is too large for seconds", _MINUTE,
          unknown_unit),
    taken("tool_timeout_sec", "codex vibe", 60, "seconds that a call may take", _MINUTE, seconds("timeout")),
    taken("startup_timeout_sec", "codex vibe", 20, "seconds that connecting may take", _CONNECT,
          seconds("connectTimeout")),
    taken("startup_timeout_ms", "codex", 20000, "milliseconds that connecting may take", _CONNECT,
          milliseconds("connectTimeout")),
    taken("toolTimeoutMs", "kimi", 60000, "milliseconds that a call may take", _MINUTE, milliseconds("timeout")),
    taken("startupTimeoutMs", "kimi", 20000, "milliseconds that connecting may take", _CONNECT,
          milliseconds("connectTimeout")),
    taken("timeoutMs", "augment", 60000, "milliseconds that a call may take", _MINUTE, milliseconds("timeout")),
    taken("initTimeout", "librechat", 20000, "milliseconds that connecting may take", _CONNECT,
          milliseconds("connectTimeout")),
    taken("connectionTimeout", "continue", 20000, "milliseconds that connecting may take", _CONNECT,
          milliseconds("connectTimeout")),
    taken("request_timeout_ms", "claude-code", 60000, "milliseconds that a call may take", _MINUTE,
          milliseconds("timeout")),
    # What lets a client call without asking, which does not concern Ostler.
    reported("autoApprove", "cline kiro amazon-q", ["get"], "tools that are called without asking", _APPROVAL),
    reported("alwaysAllow", "roo windsurf", ["get"], "tools that are called without asking", _APPROVAL),
    reported("trust", "gemini", True, "all tools are called without asking", _APPROVAL),
    reported("disabledAutoApproveTools", "cherry", ["get"], "tools that are not called without asking", _APPROVAL),
    # Signing in.
    taken("oauth", "*", {"clientId": "x", "scopes": "read write"}, "how the client signs in",
          {"oauth": {"clientId": "x", "scopes": ["read", "write"]}}, sign_in),
    taken("auth", "cursor continue", {"CLIENT_ID": "x"}, "how the client signs in", {"oauth": {"clientId": "x"}},
          sign_in),
    taken("scopes", "codex", ["read"], "what the client asks for when it signs in", {"oauth": {"scopes": ["read"]}},
          sign_in_part("scopes")),
    reported("oauth_resource", "codex", "https://example.com", "what the client signs in to", _OAUTH),
    taken("clientId", "augment", "x", "how the client signs in", {"oauth": {"clientId": "x"}},
          sign_in_part("clientId")),
    taken("oauthClientId", "copilot", "x", "how the client signs in", {"oauth": {"clientId": "x"}},
          sign_in_part("clientId")),
    reported("oauthPublicClient", "copilot", True, "how the client signs in", _OAUTH),
    taken("oauth_client_id", "crush", "x", "how the client signs in", {"oauth": {"clientId": "x"}},
          sign_in_part("clientId")),
    taken("oauth_client_secret", "crush", "secret", "how the client signs in", {"oauth": {"clientSecret": "secret"}},
          sign_in_part("clientSecret")),
    taken("oauth_callback_port", "crush", 1234, "how the client signs in", {"oauth": {"callbackPort": 1234}},
          sign_in_part("callbackPort")),
    reported("requiresOAuth", "librechat", True, "the server wants its clients to sign in", _OAUTH),
    reported("oauth_headers", "librechat", {"X": "1"}, "headers sent while signing in", _OAUTH),
    taken("oauthClient", "cline", {"clientId": "x"}, "how the client signs in", {"oauth": {"clientId": "x"}}, sign_in),
    taken("oauthScopes", "kiro", ["read"], "what the client asks for when it signs in",
          {"oauth": {"scopes": ["read"]}}, sign_in_part("scopes")),
    reported("auth", "codex", "chatgpt", "how the client signs in", _FOREIGN_SIGN_IN),
    taken("http_headers_helper", "codex", "get-headers.sh", "a command line that prints headers for a connection",
          {"headersHelper": "get-headers.sh"}, same("headersHelper")),
    taken("apiKey", "continue", "1", "the bearer token", {"headers": {"Authorization": "Bearer 1"}}, api_key),
    taken("apiKey", "librechat", {"source": "admin", "authorization_type": "custom", "custom_header": "X", "key": "1"},
          "a key that is sent; one that each user gives is reported", _X, api_key),
    taken("headersHelper", "claude-code", "get-headers.sh", "a command line that prints headers for a connection",
          {"headersHelper": "get-headers.sh"}, same("headersHelper")),
    reported("authProviderType", "gemini antigravity", "google_credentials", "how the client signs in",
             _FOREIGN_SIGN_IN),
    reported("targetAudience", "gemini", "x.apps.example.com", "whom the client's token is for", _FOREIGN_SIGN_IN),
    reported("targetServiceAccount", "gemini", "x@example.com", "as whom the client signs in", _FOREIGN_SIGN_IN),
    reported("obo", "librechat", {"scopes": "x"}, "a token of the client's user that is exchanged",
             _FOREIGN_SIGN_IN),
    reported("customUserVars", "librechat", {"KEY": {"title": "Key"}}, "values that each user of the client gives",
             noted("{key!r} asks each user for values, which Ostler does not", "write ${VAR} in their place",
                   unless=({},))),
    # What is an affair of the client alone, and would be missed.
    reported("dev", "vscode", {"watch": "src/**"}, "restart when files change, and debugging", _CLIENT_ONLY),
    reported("sampling_enabled", "vibe", True, "the server may ask the client's model", _CLIENT_ONLY),
    reported("useShellInterpolation", "augment", True, "the command is a line for a shell",
             noted("{key!r} has no effect: Ostler starts programs without a shell",
                   "write sh as 'command' and -c and the line as 'args'", unless=(False,))),
    reported("watchPaths", "roo", ["src"], "restart when files change", _CLIENT_ONLY),
    reported("filterMapping", "copilot", "hidden_characters", "what is taken out of answers",
             noted("{key!r} has no effect: Ostler passes answers on as they are", unless=("none",))),
    reported("supports_parallel_tool_calls", "codex", True, "calls may run in parallel",
             noted("{key!r} has no effect: Ostler's calls always may; 'concurrency' under 'ostler' limits them",
                   severity="note", unless=(False,))),
    reported("chatMenu", "librechat", False, "the client's chats do not offer the server, its agents do",
             noted("{key!r} has no effect in Ostler", severity="note", unless=(True,))),
    *(
        reported(name, "librechat", value, "how replicas of the client share a sign-in", _CLIENT_ONLY)
        for name, value in (("oauthRefreshWaitTimeout", 15000), ("oauthRefreshCoordination", True),
                            ("oauthPersistenceWaitTimeout", 15000))
    ),
    reported("startup_readiness", "codex", "ready", "when the client takes the server as started", _CLIENT_ONLY),
    reported("sseReadTimeout", "librechat", 300000, "how long an SSE stream may be silent", _CLIENT_ONLY),
    reported("required", "codex", True, "the client does not start without the server", _CLIENT_ONLY),
    reported("channel_enabled", "crush", True, "the server may start turns of the client", _CLIENT_ONLY),
    reported("channel_reply", "crush", {"user": {}}, "how turns that the server started are answered",
             noted("{key!r} has no effect in Ostler", severity="note")),
    reported("settings", "zed", {"key": "x"}, "settings of a Zed extension, which starts the server itself",
             noted("{key!r} are settings of a Zed extension, which Ostler does not have",
                   "write the 'command' that starts the server", unless=({},))),
    # What describes the entry, or is what Ostler does anyway.
    *(
        passing(name, clients, example, meaning)
        for name, clients, example, meaning in (
            ("name", "*", "Files", "a name for people"),
            ("title", "*", "Files", "a name for people"),
            ("displayName", "*", "Files", "a name for people"),
            ("display_name", "goose", "Files", "a name for people"),
            ("serverName", "continue", "Files", "a name for people"),
            ("description", "*", "Files", "a description for people"),
            *((name, "*", "Files", "a remark for people") for name in ("comment", "note", "notes", "category")),
            ("version", "*", "1.0.0", "the version that a gallery knew"),
            ("gallery", "vscode", "https://example.com", "where the entry came from"),
            ("api_key_header", "vibe", "X-Key", "the header that sends the token of `api_key_env`"),
            ("api_key_format", "vibe", "{token}", "how the token of `api_key_env` is sent"),
            ("prompt", "vibe", "Use it well.", "what the client tells its model"),
            ("deferred", "kimi", True, "the model finds its tools by a search"),
            ("searchKey", "cherry", "x", "words to find it by"),
            ("reference", "cherry", "https://example.com", "where it is described"),
            ("dxtVersion", "cherry", "1.0.0", "the bundle that it came from"),
            ("dxtPath", "cherry", "/srv/x", "the bundle that it came from"),
            ("shouldConfig", "cherry", True, "it still has to be set up"),
            ("configSample", "cherry", {"command": "x"}, "an example of its settings"),
            ("registry", "windsurf", "io.windsurf/files", "where the entry came from"),
            ("registryUrl", "cherry", "https://example.com", "where its package comes from"),
            ("source", "*", "custom", "where the entry came from"),
            ("sourceFile", "continue", "x.yaml", "where the entry came from"),
            ("provider", "cherry", "x", "who made it"),
            ("providerUrl", "cherry", "https://example.com", "who made it"),
            ("logoUrl", "cherry", "https://example.com/x.png", "a picture"),
            ("faviconUrl", "continue", "https://example.com/x.png", "a picture"),
            ("iconPath", "librechat", "x.png", "a picture"),
            ("icon", "*", "x", "a picture"),
            ("tags", "*", ["x"], "words to find it by"),
            ("id", "*", "x", "the client's own number of the entry"),
            ("official", "*", True, "the client's makers offer it"),
            ("bundled", "goose", True, "it came with the client"),
            ("extensionName", "gemini", "x", "it came with an extension"),
            ("alwaysLoad", "claude-code", True, "its tools are always shown to the model"),
            ("discoveryCache", "claude-code", True, "its tools are remembered between sessions"),
            ("isDefaultServer", "copilot", True, "it came with the client"),
            ("instructions", "*", "Use it well.", "what the client tells its model"),
            ("serverInstructions", "librechat", True, "what the client tells its model"),
            ("enable_instructions", "*", False, "whether the client tells its model what the server says"),
            ("role", "claude-code", "comms", "what the client uses the server for"),
            ("oauth", "cline", {"lastAuthenticatedAt": 1}, "what the client knows of its own sign-in"),
            ("stderr", "librechat", "inherit", "where the client puts stderr; Ostler keeps it in a log"),
            ("sessionless", "crush", True, "the server has no sessions, which Ostler finds out"),
            ("longRunning", "cherry", True, "its calls may take long, which Ostler allows with progress"),
            ("installSource", "cherry", "x", "how it was installed"),
            ("isTrusted", "cherry", True, "the person has seen the entry"),
            ("metadata", "*", {"x": 1}, "notes of a program"),
            ("_target", "amp", "workspace", "which file the client keeps it in"),
            ("$schema", "*", "https://example.com", "the schema of the file"),
        )
    ),
)  # fmt: skip
"""Every key that some client writes into an entry."""

_BY_NAME: Final[Mapping[str, tuple[Key, ...]]] = {
    name: tuple(key for key in KEYS if key.name == name) for name in dict.fromkeys(key.name for key in KEYS)
}
_REMARKS: Final = ("_", "//", "#")
"""How the names of keys begin that people write as comments, and clients for themselves."""
_ORDER: Final = ("ostler", "type", "transport", "command", "args")
"""Keys that others depend on come first; the rest as written."""


def key_for(name: str, clients: frozenset[str]) -> Key | None:
    """Return the row of the key `name` in an entry that one of `clients` wrote; None when no client writes it."""
    rows = _BY_NAME.get(name, ())
    fitting = [row for row in rows if clients <= row.clients] or [row for row in rows if clients & row.clients]
    return min(fitting or rows, key=lambda row: len(row.clients), default=None)


def writers(raw: JsonObject, clients: frozenset[str]) -> frozenset[str]:
    """Return those of `clients` that can have written the entry `raw`: who use each of its keys, as far as it shows."""
    for name in raw:
        known = frozenset[str]().union(*(row.clients for row in _BY_NAME.get(name, ())))
        clients = (clients & known) or clients
    return clients


def translate(draft: Draft) -> None:
    """Read every key of the entry into the draft."""
    raw = draft.raw
    if isinstance(server := raw.get("transport"), dict):  # Cline: what is around it says how it is used
        raw = {**cast("JsonObject", server), **raw}
    ordered = sorted(raw, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))
    for name in ordered:
        value = raw[name]
        row = key_for(name, draft.clients)
        if row is not None and not (_is_another_clients(row, draft.clients) and speaks_of_limit("", value)):
            row.read(draft, name, value)
        else:
            _unknown(draft, name, value)


def _is_another_clients(row: Key, clients: frozenset[str]) -> bool:
    """Whether what the row passes over may mean something else here: the entry is not known to be of its clients."""
    return row.outcome in ("passed over", "reported") and not clients <= row.clients


def _unknown(draft: Draft, name: str, value: JsonValue) -> None:
    if read_time(draft, name, value):
        return
    close = get_close_matches(name, (*_BY_NAME, *OPTION_NAMES), n=1)
    place = " under 'ostler'" if close and close[0] in OPTION_NAMES and close[0] not in _BY_NAME else ""
    fix = f"did you mean {close[0]!r}{place}?" if close else ""
    if limiting := speaks_of_limit(name, value):
        message = f"{limiting!r} may limit the server in a way that Ostler does not know, so the entry is not used"
        fix = fix or "remove it, or limit with 'allowTools' and 'denyTools' under 'ostler'"
        draft.report((name,), message, "limit", fix=fix)
    elif not name.startswith(_REMARKS):
        draft.report((name,), f"unknown key {name!r} is ignored", "unknown-key", fix=fix, severity="warning")
