"""What a server process sets up before it imports large libraries."""

import gc
import re
import sys
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any, Final

from ostler.model.late_patterns import COMPILE, late_pattern

_HIGH_LEVEL = "mcp.server.mcpserver"
_TYPES = "mcp_types"
_UVICORN = "uvicorn.main"


def import_lean() -> None:
    """Make the imports that follow cheap, for the whole process.

    The collector is off until the start is over: what is imported stays, and looking through it again and again is a
    quarter of a start's CPU. Models, those of the MCP SDK above all, are built when they are first used: 15 % fewer
    instructions from the start to the first answer (6.70e9 and 5.70e9), since most are never used. So are the adapters
    of its unions, for which pydantic has no such setting: 3.3 MiB, and 4 % of the CPU until a program starts. The SDK's
    200 types are defined when one is first used, which is after the first program of an `up`: a tenth of the CPU until
    then. Its high-level server, which this one is not built on, is run when it is used: 55 modules and 9 MiB less. So
    is the command line that uvicorn's package imports: 20 modules and 1.3 MiB; and what most servers never use of the
    packages that they need, the HTTP client above all: 70 modules and 4.9 MiB. Patterns of libraries that few texts
    need are compiled when one does: 3 % of the CPU until a program starts.
    """
    gc.disable()
    sys.meta_path.insert(0, _PostponingFinder())
    from pydantic import BaseModel, TypeAdapter

    BaseModel.model_config["defer_build"] = True
    TypeAdapter._defer_build = True  # noqa: SLF001 # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]


async def import_beside(name: str) -> None:
    """Import a large module in a thread, so that what runs goes on, and with the collector off."""
    spec = getattr(sys.modules.get(name), "__spec__", None)
    if spec is not None and not getattr(spec, "_initializing", False):  # else another task imports it now
        return
    from anyio.to_thread import run_sync

    was_enabled = gc.isenabled()
    gc.disable()
    try:
        await run_sync(import_module, name)
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def _unbuilt() -> Generator[None]:
    """Define the SDK's types without building those that they build at once: pydantic does so when they are used."""
    from pydantic import BaseModel

    base: Any = BaseModel
    build: Any = base.__dict__["model_rebuild"]

    def built_later(cls: Any, **given: Any) -> Any:
        return build.__func__(cls, **given) if given else None  # those of generic models name their arguments

    base.model_rebuild = classmethod(built_later)
    try:
        yield
    finally:
        base.model_rebuild = build


class _PostponingFinder:
    """Finds the postponed modules with a loader that runs their code later."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        loader = _PostponingLoader if name in _STANDING_IN else _LatePatternsLoader
        spec = PathFinder.find_spec(name, path, target) if name in _STANDING_IN or name in _LATE_PATTERNS else None
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = loader(spec.loader.name, spec.loader.path)
        return spec


class _LatePatternsLoader(SourceFileLoader):
    """Runs a module so that its regular expressions are compiled when they are first used."""

    def exec_module(self, module: ModuleType) -> None:
        importing = threading.get_ident()

        def compile_late(pattern: str, flags: int = 0) -> re.Pattern[str]:
            return (late_pattern if threading.get_ident() == importing else COMPILE)(pattern, flags)

        re.compile = compile_late
        try:
            super().exec_module(module)
        finally:
            re.compile = COMPILE


class _PostponingLoader(SourceFileLoader):
    def __init__(self, fullname: str, path: str) -> None:
        super().__init__(fullname, path)
        self._running = threading.RLock()
        self._began = False

    def exec_module(self, module: ModuleType) -> None:
        module.__class__ = _Postponed
        vars(module).update(_STANDING_IN[module.__name__]())

    def run(self, module: ModuleType) -> None:
        """Run the module's code, once, whichever thread comes first; another one waits until it has run."""
        with self._running:
            if not self._began:
                self._began = True
                try:
                    with _unbuilt() if module.__name__ == _TYPES else nullcontext():
                        super().exec_module(module)
                except BaseException:
                    self._began = False
                    raise
                module.__class__ = ModuleType


class _Postponed(ModuleType):
    """A module before a name of it was used other than those that stand in for its own."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__") and name != "__all__":  # which is asked for by `import *`
            raise AttributeError(name)
        assert isinstance(self.__loader__, _PostponingLoader)
        self.__loader__.run(self)
        return ModuleType.__getattribute__(self, name)


class _Comparing(type):
    def __instancecheck__(cls, instance: object) -> bool:
        """Say whether `instance` is a high-level server: nothing is before its code was run."""
        real = sys.modules[_HIGH_LEVEL].MCPServer
        return real is not cls and isinstance(instance, real)


class _AnyHighLevelServer(metaclass=_Comparing):
    """Stands for the class in comparisons."""


def _of_high_level() -> Mapping[str, object]:
    """Return the class alone, which the SDK's client compares with."""
    return {"MCPServer": _AnyHighLevelServer}


def _of_uvicorn() -> Mapping[str, object]:
    """Return what uvicorn's package takes from its command line."""
    from uvicorn.server import Server

    return {"Server": Server, **_functions(_UVICORN, "main", "run")()}


def _functions(module_name: str, *names: str) -> Callable[[], Mapping[str, object]]:
    """Return what makes functions that load `module_name` when they are called, and call its own of these names."""

    def later(name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            module = sys.modules[module_name]
            assert isinstance(module.__loader__, _PostponingLoader)
            module.__loader__.run(module)
            return getattr(module, name)(*args, **kwargs)

        return call

    return lambda: {name: later(name) for name in names}


_LATE_PATTERNS: Final = frozenset(
    {"fractions", "jinja2.utils", "opentelemetry.trace.span", "platform", "psutil._pslinux", "yaml.constructor"}
    | {"yaml.reader", "yaml.resolver"}
)
"""Modules with patterns that a start does not need: that of `yaml.reader` alone takes 2 ms."""

_STANDING_IN: Final[Mapping[str, Callable[[], Mapping[str, object]]]] = {
    _HIGH_LEVEL: _of_high_level,
    _UVICORN: _of_uvicorn,
    "configparser": lambda: {"RawConfigParser": object},  # for uvicorn's annotations
    "difflib": _functions("difflib", "get_close_matches"),
    "html": dict,
    "httpx2": dict,
    "importlib.metadata": _functions("importlib.metadata", "entry_points", "version"),
    "logging.config": dict,
    "mcp": dict,
    "mcp.client": dict,
    "mcp.server": dict,
    "mcp.server.auth.routes": _functions(
        "mcp.server.auth.routes",
        "build_resource_metadata_url",
        "create_auth_routes",
        "create_protected_resource_routes",
    ),
    "mcp.client.session_group": _functions("mcp.client.session_group", "ClientSessionGroup"),
    "mcp.client.sse": _functions("mcp.client.sse", "sse_client"),
    "mcp.client.streamable_http": _functions("mcp.client.streamable_http", "streamable_http_client"),
    "mcp.shared.exceptions": dict,
    "mcp.shared.message": dict,
    _TYPES: dict,
    "mcp_types.methods": dict,
    "pydantic.plugin._loader": lambda: {"get_plugins": tuple},  # no model of ours is meant for a plugin
    "regex": dict,
    "urllib.request": _functions("urllib.request", "url2pathname"),
    "watchfiles.run": _functions("watchfiles.run", "arun_process", "run_process"),
}
"""What is postponed, and what makes the names that others import of it before it is used."""
