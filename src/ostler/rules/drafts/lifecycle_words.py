"""Words of tools: what starts a thing and what ends it, ranked, and which nouns run and which are mere records."""

import re

PARTNERS: dict[str, tuple[str, ...]] = {
    "start": ("stop", "terminate", "kill", "end", "shutdown", "close", "cancel", "quit", "finish"),
    "launch": ("terminate", "close", "stop", "kill", "quit", "shutdown"),
    "spawn": ("kill", "terminate", "stop", "close", "despawn"),
    "boot": ("shutdown", "stop", "halt", "poweroff"),
    "run": ("stop", "kill", "terminate", "cancel", "remove", "delete", "abort"),
    "create": (
        "delete",
        "destroy",
        "remove",
        "terminate",
        "close",
        "stop",
        "kill",
        "end",
        "drop",
        "cleanup",
        "dispose",
    ),
    "open": ("close", "quit", "kill"),
    "new": ("close", "kill", "delete", "remove", "end", "destroy", "stop"),
    "begin": ("end", "finish", "stop"),
    "provision": ("deprovision", "destroy", "delete", "release", "terminate"),
    "allocate": ("release", "deallocate", "free"),
    "acquire": ("release",),
    "reserve": ("release", "free"),
    "lease": ("release", "return"),
    "deploy": ("undeploy", "destroy", "delete", "remove", "stop"),
    "serve": ("stop", "shutdown", "kill"),
    "host": ("stop", "unhost"),
    "listen": ("stop", "unlisten", "close"),
    "forward": ("unforward", "stop", "cancel", "close"),
    "tunnel": ("stop", "close"),
    "debug": ("stop", "terminate", "end"),
    "submit": ("cancel", "kill", "abort", "stop"),
    "enqueue": ("dequeue", "cancel", "remove"),
    "schedule": ("unschedule", "cancel"),
    "trigger": ("cancel", "abort", "stop"),
    "execute": ("kill", "stop", "cancel", "terminate", "abort", "interrupt"),
    "exec": ("kill", "stop", "cancel", "terminate", "abort", "interrupt"),
    "initialize": ("shutdown", "close", "terminate", "cleanup", "dispose", "end", "stop", "destroy"),
    "init": ("shutdown", "close", "terminate", "cleanup", "dispose", "end", "stop", "destroy"),
    "setup": ("teardown", "cleanup", "destroy"),
    "up": ("down", "stop"),
    "connect": ("disconnect", "close"),
    "attach": ("detach",),
    "join": ("leave",),
    "login": ("logout",),
    "mount": ("unmount", "umount"),
    "load": ("unload",),
    "play": ("stop",),
    "replay": ("stop", "cancel"),
    "simulate": ("stop", "cancel"),
    "stream": ("stop",),
    "cast": ("stop",),
    "broadcast": ("stop",),
    "sniff": ("stop",),
    "dispatch": ("cancel", "abort", "stop"),
    "rent": ("return", "release", "destroy", "cancel"),
    "claim": ("release",),
    "dial": ("hangup",),
    "arm": ("disarm",),
    "record": ("stop",),
    "capture": ("stop",),
    "monitor": ("unmonitor", "stop"),
    "watch": ("unwatch", "stop"),
    "add": ("remove", "delete", "stop"),
    "register": ("unregister", "deregister", "remove"),
    "subscribe": ("unsubscribe",),
    "activate": ("deactivate",),
    "expose": ("unexpose",),
    "restore": ("pause",),
    "resume": ("pause", "suspend"),
    "unpause": ("pause",),
    "enable": ("disable",),
    "install": ("uninstall", "remove"),
}
"""What starts, and what ends it, the likeliest first."""

OPPOSITES: dict[str, tuple[str, ...]] = {"enter": ("exit", "leave", "quit"), "begin": ("end", "finish", "stop")}
"""Words that start no thing, and what undoes them."""

STARTS: dict[str, int] = {
    "start": 30, "launch": 30, "spawn": 30, "boot": 28, "create": 26, "open": 26, "new": 24, "begin": 24, "run": 25,
    "provision": 26, "allocate": 26, "acquire": 24, "reserve": 24, "lease": 24, "deploy": 24, "serve": 26, "host": 20,
    "listen": 20, "forward": 26, "tunnel": 22, "debug": 20, "submit": 22, "enqueue": 20, "schedule": 18, "trigger": 18,
    "execute": 16, "exec": 16, "initialize": 20, "init": 18, "setup": 14, "up": 24, "connect": 18, "attach": 14,
    "join": 10, "login": 6, "mount": 14, "load": 14, "play": 14, "record": 12, "capture": 10, "monitor": 10,
    "watch": 12, "add": 12, "register": 8, "subscribe": 6, "activate": 8, "expose": 4, "restore": 4, "resume": 4,
    "unpause": 2, "enable": 2, "install": 2, "replay": 16, "simulate": 14, "stream": 10, "broadcast": 10, "sniff": 14,
    "dispatch": 14, "cast": 12, "rent": 22, "claim": 10, "dial": 14, "arm": 10,
}  # fmt: skip
"""What starts a thing, and how strongly the word says that the thing then runs."""

ENDS: dict[str, int] = {
    "stop": 30, "terminate": 30, "kill": 30, "shutdown": 28, "close": 28, "quit": 26, "end": 24, "destroy": 26,
    "cancel": 22, "abort": 20, "release": 24, "delete": 22, "remove": 20, "down": 22, "halt": 22, "poweroff": 24,
    "disconnect": 18, "detach": 12, "teardown": 22, "undeploy": 20, "deprovision": 22, "deallocate": 20, "free": 18,
    "unforward": 20, "finish": 14, "dispose": 20, "cleanup": 12, "despawn": 20, "exit": 18, "drop": 8, "leave": 8,
    "logout": 4, "unmount": 12, "umount": 12, "unload": 12, "unregister": 6, "deregister": 6, "unsubscribe": 4,
    "deactivate": 6, "unexpose": 4, "unwatch": 8, "unlisten": 8, "unhost": 8, "unmonitor": 8, "unschedule": 8,
    "dequeue": 8, "interrupt": 8, "return": 6, "pause": 2, "suspend": 2, "disable": 2, "uninstall": 2,
    "hangup": 14, "disarm": 10,
}  # fmt: skip
"""What ends a thing, and how strongly the word says that it is gone then."""

WEAK = 10
"""Verbs below this belong together only with the very word that undoes them."""

ALSO_NOUNS = frozenset(
    ("up", "down", "end", "new", "load", "play", "join", "watch", "host", "listen", "exit", "run", "record", "capture",
     "monitor", "release", "tunnel", "debug", "exec", "forward", "schedule", "trigger", "lease", "return", "deploy",
     "open", "init", "setup", "drop", "free", "connect", "begin", "boot", "launch", "cleanup", "interrupt",
     "replay", "stream", "broadcast", "dispatch", "rent", "claim", "dial", "arm", "cast")
)  # fmt: skip
"""Verbs that are nouns or adjectives inside of a name (`test_run_list`, `get_open_page`)."""

CANCELS = ("stop", "cancel", "end", "close", "kill", "delete", "remove", "terminate", "abort")
"""Words that end, put before or behind its whole name, what a tool began (`port_forward`, `stop_port_forward`)."""

NOMINALS = {
    "run": "run", "execute": "execution", "exec": "execution", "deploy": "deployment", "record": "recording",
    "simulate": "simulation", "connect": "connection", "submit": "submission",
}  # fmt: skip
"""What that which a verb starts is called."""

BACKGROUND = frozenset(("background", "async", "detach", "detached", "daemon"))
"""Names of switches that let a tool answer before what it started has ended."""

STATUS = ("status", "state", "get", "describe", "info", "inspect", "show", "check", "has", "exists", "poll", "health",
          "is", "read", "query", "view", "detail", "details")  # fmt: skip
LISTS = ("list", "ls", "ps", "running", "active", "enumerate", "get", "show", "search")
LOGS = ("logs", "log", "output", "tail", "console", "stdout", "stream", "capture", "read", "transcript", "screen")
RESTARTS = ("restart", "recreate", "reboot", "reset", "reload", "respawn", "relaunch")
SAME_AGAIN = frozenset(("restart", "reboot", "respawn", "relaunch"))
"""Those that say that the same thing runs again; the others may put another in its place."""

WORKS = ("exec", "execute", "run", "send", "write", "interact", "input", "attach", "navigate", "click", "evaluate",
         "eval", "step", "continue", "pause", "resume", "wait", *RESTARTS)  # fmt: skip
"""Verbs of calls that only a running thing can take."""

ATTRIBUTES = frozenset(("reason", "time", "status", "state", "count", "condition", "info", "help"))
"""Last words of names that ask for something about a thing (`stop_reason`)."""

EDITS = ("update", "edit", "rename", "modify", "move", "patch", "import", "export", "archive", "complete", "merge",
         "append", "insert", "replace", "copy", "duplicate")  # fmt: skip
"""What is done to records."""

LOOKS = frozenset(
    (*STATUS, *LISTS, "count", "fetch", "analyze", "analyse", "explain", "validate", "compare", "tail", "take", "dump",
     "help", "diff", "discover", "find", "scan", "screenshot", "lookup", "verify", "diagnose", "summarize")
)  # fmt: skip
"""First words of tools that only look."""

ACTS = frozenset(
    ("set", "update", "send", "write", "edit", "modify", "rename", "move", "copy", "click", "type", "press", "scroll",
     "navigate", "select", "switch", "resize", "apply", "patch", "upload", "download", "save", "import", "publish",
     "test", "evaluate", "eval", "step", "continue", "put", "interact", "input", "convert", "format", "generate",
     "clear", "export", "toggle", "swipe", "tap", "drag", "hover", "fill", "wait", "bulk", "batch", "clean",
     *RESTARTS)
)  # fmt: skip
"""First words of tools that act on something that exists already."""

FILLERS = frozenset(
    {"a", "an", "the", "in", "of", "for", "by", "with", "to", "or", "and", "on", "at", "from", "force", "new", "get",
     "read", "my", "current", "active", "background", "bg", "async", "remote", "local", "simple", "if", "safe",
     "manage", "edit", "control", "existing", "single", "one", "interactive", "persistent", "headless", "graceful",
     "gracefully"}
)  # fmt: skip
BULK = frozenset(("all", "multiple", "bulk", "batch", "every", "group", "team", "many", "mass"))

LIVING = frozenset(
    """
    process server container session sandbox branch pod tunnel forward browser instance job environment cluster database
    app application machine vm deployment workspace page tab trace screencast search release stack worker task notebook
    kernel chart debugger emulator simulator device terminal shell repl pty console channel stream listener proxy daemon
    watcher timer recording capture profiler profile playback player game world agent bot pipeline serial port program
    command script queue project service node monitor simulation crawl ssh debuggee inferior target tracee run loop
    codegen recorder microvm firecracker guest domain lease hub gateway broker preview screenshare call meeting
    stopwatch countdown execution operation binary connection pane window video audio vnc display desktop training
    editor
    """.split()  # noqa: SIM905 (a word a line would be a page)
)
"""Nouns of things that run, so that a pair about them is more likely meant than one about files or records."""

DEFINED = frozenset("app application project script program command game notebook database device".split())  # noqa: SIM905
"""Those that are there, and listed, whether they run or not."""

UNNAMED = frozenset("command script program port video audio display target run execution operation shell".split())  # noqa: SIM905
"""Those whose word alone, as a parameter, does not say which one is meant."""

FAINT = frozenset("task project database run page tab connection node port search profile operation target".split())  # noqa: SIM905
"""Those of them that are as often records: a word or a tool besides must say that they run."""

ACCESSORIES = frozenset(
    """
    recording record log logging trace tracing screencast profile profiling monitoring monitor video audio tab pane
    window watch rtt perf animation search coverage
    """.split()  # noqa: SIM905
)
"""Things that run for the sake of another one, or are a part of it, which is more likely meant."""

RECORDS = frozenset(
    """
    relation entity observation file directory folder user role key secret token template index topic note tag label
    policy binding exchange vhost alias issue comment record document collection table row column scene breakpoint
    watchpoint bookmark event calendar message memory model version experiment dataset image snapshot backup volume
    network rule filter webhook credential variable config configuration setting permission group team member contact
    item card board playlist macro hook artifact entry sheet cell schema view function constraint property layer prompt
    resource repository repo data metadata todo reminder subtask milestone sprint epic story bill invoice order product
    customer post article category link attachment annotation highlight block section slide chapter paragraph field form
    shape material mesh texture sprite asset pattern keyspace partition bucket object metric alert actor component
    dashboard panel report account organization subscription certificate acl zone list tasklist fact output history
    """.split()  # noqa: SIM905 (a word a line would be a page)
)
"""Nouns of records, which do not run."""

LIFE = re.compile(
    r"\b(background|running|runs? (?:until|in)|process(?:es)?|spawn\w*|launch\w*|boot\w*|long-running|session|pid|"
    r"listen\w*|live|alive|daemon|terminate\w*|shut(?:s|ting)? ?down|stays? open|kill\w*|stop(?:s|ped)?|headless|"
    r"reserve\w*|start(?:s|ed|ing)?|port)\b",
    re.IGNORECASE,
)
"""Words of descriptions of things that run."""

BLOCKING = re.compile(
    r"\b(until (?:it )?(?:completes?|finish\w*|ends?|exits?|done)|waits? for (?:it|the command|completion)|exit code|"
    r"polls? until|returns? (?:just )?(?:its|the) (?:output|result|stdout)|(?:and|then) returns? (?:the )?output|"
    r"synchronous\w*|"
    r"blocks? until(?: \w+){0,6} (?:completes?|finish\w*|ends?|exits?|done|returns?|over|terminates?))\b",
    re.IGNORECASE,
)
"""Phrases in descriptions of tools that answer with a finished result."""

_SPOKEN = {
    ("power", "on"): "start", ("power", "off"): "stop", ("shut", "down"): "shutdown", ("turn", "on"): "start",
    ("turn", "off"): "stop", ("switch", "on"): "start", ("switch", "off"): "stop", ("bring", "up"): "up",
    ("bring", "down"): "down", ("tear", "down"): "teardown", ("spin", "up"): "up", ("spin", "down"): "down",
    ("set", "up"): "setup", ("log", "in"): "login", ("log", "out"): "logout", ("boot", "up"): "boot",
    ("start", "up"): "start", ("clean", "up"): "cleanup", ("hang", "up"): "hangup",
}  # fmt: skip
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_UNCHANGED = frozenset(
    ("logs", "status", "process", "kubernetes", "alias", "class", "access", "ls", "dns", "tls", "ps", "is", "has",
     "exists", "this", "details", "macos", "os", "axis", "bus", "canvas", "redis", "windows")
)  # fmt: skip
_SHORT = frozenset(("vms", "ids", "dbs", "vpcs"))
_GLUED = ("start", "stop", "launch", "kill", "open", "close", "create", "delete", "pause")
_SHORTEST_IES = 4
_SHORTEST_PLURAL = 3


def squeezed(name: str) -> str:
    """Return a name without its spelling: `sessionid` for `sessionId` and `session_id`."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def plain_words(name: str) -> list[str]:
    """Return the words of a name as they are written, but in lower case (`listPods`: list, pods)."""
    return [word.lower() for word in _WORDS.findall(name)]


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a tool's name, in lower case and singular (`pods_run`, `listPods`: pod)."""
    words = [singular(part) for word in plain_words(name) for part in _unglued(word)]
    joined: list[str] = []
    while words:
        spoken = _SPOKEN.get((words[0], words[1])) if len(words) > 1 else None
        joined.append(spoken or words[0])
        del words[: 2 if spoken else 1]
    return tuple(joined)


def _unglued(word: str) -> tuple[str, ...]:
    """Return a word as the verb and the rest that it is written together of (`stopplay`, `startserver`)."""
    if word in STARTS or word in ENDS or word in LIVING:
        return (word,)
    for verb in _GLUED:
        rest = word.removeprefix(verb)
        if rest != word and (rest in LIVING or rest in STARTS or rest in ENDS):
            return verb, rest
    return (word,)


def singular(word: str) -> str:
    """Return a noun in the singular, as far as its ending shows."""
    if word in _UNCHANGED:
        return word
    if word in _SHORT:
        return word[:-1]
    if word.endswith(("sses", "xes", "ches")):
        return word[:-2]
    if word.endswith("ies") and len(word) > _SHORTEST_IES:
        return word[:-3] + "y"
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > _SHORTEST_PLURAL:
        return word[:-1]
    return word
