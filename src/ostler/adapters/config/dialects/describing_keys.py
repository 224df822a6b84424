"""The keys of an entry that describe it, or say what Ostler does anyway: none changes anything here."""

from typing import Final

from ostler.adapters.config.dialects.key_rows import Key, passing

DESCRIBING: Final[tuple[Key, ...]] = tuple(
    passing(name, clients, example, meaning)
    for name, clients, example, meaning in (
        ("name", "*", "Files", "a name for people"),
        ("title", "*", "Files", "a name for people"),
        ("displayName", "*", "Files", "a name for people"),
        ("display_name", "goose", "Files", "a name for people"),
        ("requestIdFormat", "omp", "string", "how its requests are numbered"),
        ("serverName", "continue", "Files", "a name for people"),
        ("description", "*", "Files", "a description for people"),
        *((name, "*", "Files", "a remark for people") for name in ("comment", "note", "notes", "category")),
        ("version", "*", "1.0.0", "the version that a gallery knew"),
        ("gallery", "vscode", "https://example.com", "where the entry came from"),
        ("owner", "mcphub", "ada", "who added it"),
        ("keepAliveInterval", "mcphub", 60000, "how often the connection is tried, which Ostler does anyway"),
        ("registryMetadata", "theia", {"name": "x"}, "where the entry came from"),
        ("serverAuthTokenHeader", "theia", "X-Key", "the header that sends `serverAuthToken`"),
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
        ("alwaysLoadTools", "gemini", True, "its tools are always shown to the model"),
        ("versionNegotiation", "gemini", "auto", "which version of MCP is spoken, which Ostler finds out"),
        ("code", "goose", "print(1)", "a program inside the entry, whose type is refused"),
        ("dependencies", "goose", ["x"], "what a program inside the entry needs"),
        ("alwaysLoad", "claude-code", True, "its tools are always shown to the model"),
        ("discoveryCache", "claude-code", True, "its tools are remembered between sessions"),
        ("isDefaultServer", "copilot", True, "it came with the client"),
        ("deferTools", "copilot", "never", "whether the model finds its tools by a search"),
        ("disableToolCache", "copilot", True, "whether its tools are remembered between sessions"),
        ("disableSecretMasking", "copilot", True, "whether the client masks secrets in its answers"),
        ("safeForTelemetry", "copilot", True, "what the client may say of its calls to its makers"),
        ("slowConnectionThresholdMs", "copilot", 9000, "when the client warns that connecting takes long"),
        ("headersRefreshTtlMs", "copilot", 60000, "how long headers are kept, which Ostler asks for again"),
        ("configWarnings", "copilot", [], "what the client found in the entry"),
        *(
            (name, "copilot", "x", "where the entry came from")
            for name in ("sourcePlugin", "sourcePluginVersion", "sourcePluginSpec", "sourcePath")
        ),
        ("instructions", "*", "Use it well.", "what the client tells its model"),
        ("serverInstructions", "librechat", True, "what the client tells its model"),
        ("include_instructions", "fast-agent", False, "whether the client tells its model what the server says"),
        ("skip_preflight", "hermes", True, "whether the client first looks at what the address answers"),
        ("keepalive_interval", "hermes", 180, "how often the connection is tried, which Ostler does anyway"),
        ("idle_timeout_seconds", "hermes", 3600, "when the client stops a server that is not used"),
        ("max_lifetime_seconds", "hermes", 86400, "when the client starts a server again"),
        ("lifecycle", "hermes", {"idle_timeout_seconds": 3600}, "when the client stops a server, or starts it again"),
        *(
            (name, "fast-agent", value, meaning)
            for name, value, meaning in (
                ("protocol_mode", "auto", "which version of MCP is spoken, which Ostler finds out"),
                ("ping_interval_seconds", 30, "how often the connection is tried"),
                ("max_missed_pings", 3, "when the client gives the connection up"),
                ("reconnect_on_disconnect", True, "whether the client connects again, which Ostler does"),
                ("http_timeout_seconds", 30, "how long single requests may take"),
                ("http_read_timeout_seconds", 300, "how long the client waits for parts of an answer"),
                ("read_transport_sse_timeout_seconds", 300, "how long the client waits for parts of an answer"),
                ("defer_loading", True, "whether the model finds its tools by a search"),
                ("implementation", {"name": "x", "version": "1"}, "what the client calls itself"),
            )
        ),
        ("custom_instructions", "mcp-hub", {"text": "Use it well."}, "what the client tells its model"),
        *(
            (f"disabled_{one}", "mcp-hub", ["x"], f"{one} that are off; Ostler passes none on")
            for one in ("resources", "resourceTemplates", "prompts")
        ),
        ("auth_type", "litellm", "bearer_token", "how `auth_value` is sent"),
        *(
            (name, "mcporter", "x", "how the client signs in, or calls itself")
            for name in (
                "tokenCacheDir",
                "token_cache_dir",
                "clientName",
                "client_name",
                "oauthRedirectUrl",
                "oauth_redirect_url",
                "oauthCommand",
                "oauth_command",
            )
        ),
        ("logging", "mcporter", {"daemon": {"enabled": True}}, "whether the client keeps a log of it"),
        ("lifecycle", "mcporter", "keep-alive", "whether it keeps running, which it does in Ostler"),
        ("remoteConfigured", "cline", True, "the client's makers, or an administrator, set it up"),
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
)
"""What is passed over."""
