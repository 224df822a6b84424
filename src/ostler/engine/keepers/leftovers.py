"""What carries this Ostler's mark and belongs to no service, as its record was lost: found by classes, and stopped."""

import math
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import anyio
from msgspec import Struct

from ostler.engine.classes.catalogue import ClassCatalogue, ClassEntry
from ostler.engine.instances.instance import ControllerRuntime, ServiceInstance, instances_in
from ostler.engine.services.registry import ServiceRegistry
from ostler.engine.services.service import way_to_enable
from ostler.model.downstream_errors import ServerUnavailableError
from ostler.model.errors import ExtractionError, OperationError, OperationTimeoutError, OstlerError, ToolFailedError
from ostler.model.json import JsonObject, JsonValue, as_list
from ostler.model.manifest import LeftoversSpec
from ostler.model.records import OperationKind, ServiceRecord
from ostler.model.states import DesiredState, ServiceState
from ostler.rules.answers.queries import search_value
from ostler.rules.calls.arguments import validate_args
from ostler.rules.loading.manifests import service_class_to_json
from ostler.rules.templates.template import render
from ostler.rules.text.patterns import matched_values

LIST_SECONDS = 10.0
"""How long a list may take, the first connection of its server included where it is waited for."""

_INSPECTED_AT_ONCE = 8

_VARIABLE = re.compile(r"[A-Za-z_]\w*=(.*)", re.DOTALL)
"""A variable as lists of them have it."""

_UNTIL_GONE = (0.0, 0.5, 1.5)
"""Seconds before each look whether what was stopped is still listed: a container is removed a moment later."""

_REMOVED_AT_ONCE = 8
"""How many are stopped side by side: a container may take ten seconds."""


class Leftover(Struct, frozen=True):
    """One thing that no service has.

    Attributes:
        entry: the class whose list has it.
        service_id: the service that it was made for.
        outputs: what `start` gave then, as far as the list shows it.
    """

    entry: ClassEntry
    service_id: str
    outputs: JsonObject

    @property
    def name(self) -> str:
        """The name of the service that it is while it is stopped."""
        return f"left-{self.service_id.lower()}"

    def __str__(self) -> str:
        """Return it in words."""
        shown = ", ".join(f"{name}={value}" for name, value in self.outputs.items())
        return f"{shown or self.service_id}, of a service of class {self.entry.name!r}"


class Unseen(Struct, frozen=True):
    """A server that cannot be asked whether classes left something, or what has become of services.

    Attributes:
        server: the downstream server.
        classes: the classes that may have left something.
        reason: why it was not read, in words.
        since: how long that has been so; None when that is unknown.
        fix: what to do, as an imperative phrase.
        services: the services that it may still run, if no configuration has it any more.
    """

    server: str
    classes: tuple[str, ...]
    reason: str
    since: datetime | None
    fix: str
    services: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return it in words."""
        if self.services:
            is_one = len(self.services) == 1
            named = f"service{'' if is_one else 's'} {', '.join(self.services)}"
            whose = "its" if is_one else "their"
            return f"{named} cannot be checked or stopped: {whose} server {self.server!r} {self.reason}"
        since = "" if self.since is None else f" since {self.since.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        classes = f"{'class' if len(self.classes) == 1 else 'classes'} {' and '.join(self.classes)}"
        return (
            f"what the {classes} may have left was not looked for: "
            f"server {self.server!r} cannot be asked{since}: {self.reason}"
        )


class LeftoversSurvey(Struct, frozen=True):
    """What lists show.

    Attributes:
        found: what is left over, or was until `remove_all` stopped it.
        unseen: lists of servers that are not connected, or do not have the tool any more.
        errors: what failed.
        elsewhere: what another `remove_all` at the same time stops, or has stopped meanwhile.
        late: what `remove_all` had no time for, or still stops.
    """

    found: list[Leftover] = []
    unseen: list[Unseen] = []
    errors: list[OstlerError] = []
    elsewhere: list[Leftover] = []
    late: list[Leftover] = []


class Leftovers:
    """Looks for what classes with `leftovers` made in an earlier life, and stops it."""

    def __init__(self, runtime: ControllerRuntime, registry: ServiceRegistry, classes: ClassCatalogue) -> None:
        self._runtime = runtime
        self._registry = registry
        self._classes = classes
        self._others: dict[str, set[str]] = {}
        """By class digest: items that were inspected and do not have this Ostler's mark."""
        self._calls = 0
        """How many `remove_all` are under way."""
        self._removals = 0
        self._removing: set[str] = set()
        self._removed: dict[str, int] = {}
        """What calls under way have removed, by service id: the number of that removal, counted by `_removals`."""

    async def find(self, *, wait: bool = False) -> LeftoversSurvey:
        """Return what is left over, and which lists were not read.

        A server that no configuration has is among them only if it may still run services, with their names.

        Args:
            wait: wait for the first connection of a server that is still being connected.
        """
        asked: list[tuple[ClassEntry, LeftoversSpec]] = []
        survey = LeftoversSurvey()
        absent: dict[str, list[str]] = {}
        for entry in self._classes.get_all():
            if (spec := entry.service_class.config.leftovers) is None or not self._runtime.mark:
                continue  # without a mark the list would be that of everyone
            if self._can_ask(spec, wait=wait):
                asked.append((entry, spec))
            else:
                absent.setdefault(spec.tool, []).append(entry.name)
        found: dict[str, list[Leftover]] = {}

        async def look(entry: ClassEntry, spec: LeftoversSpec) -> None:
            here = found[entry.name] = []
            try:
                async for left in self._listed(entry, spec):
                    here.append(left)  # noqa: PERF401 (those before an error count)
            except ServerUnavailableError:
                absent.setdefault(spec.tool, []).append(entry.name)
            except OstlerError as error:
                error.step, error.tool = "leftovers", spec.tool
                error.add(f"what {'else ' if here else ''}the class {entry.name!r} may have left was not looked for")
                survey.errors.append(error)

        for digest in self._others.keys() - {entry.digest for entry, _ in asked}:
            del self._others[digest]
        async with anyio.create_task_group() as tasks:  # a slow list is waited for once, not once a class
            for entry, spec in asked:
                tasks.start_soon(look, entry, spec)
        survey.found.extend(left for entry, _ in asked for left in found.get(entry.name, ()))
        survey.unseen.extend(self._cut_off())
        survey.unseen.extend(
            unseen for tool, names in absent.items() if (unseen := self._unseen(tool, names)) is not None
        )
        return survey

    def _can_ask(self, spec: LeftoversSpec, *, wait: bool) -> bool:
        """Whether the list can be asked for; with `wait` also where the call will show that."""
        tools = self._runtime.tools
        if tools is None or tools.find_tool(spec.tool) is not None:
            return True
        status = tools.server_status(spec.tool.partition("/")[0])
        return wait and status.known and not status.tools_known

    def _unseen(self, tool: str, classes: list[str]) -> Unseen | None:
        """Return why the list of `tool` was not read; None if no server of that name is configured."""
        tools = self._runtime.tools
        server, _, name = tool.partition("/")
        status = None if tools is None else tools.server_status(server)
        refused = self._registry.why_missing(server)
        if status is None or not (status.known or refused):
            return None
        service = self._registry.find(server)
        since = None if service is None else service.view().state_since
        if refused:
            reason, fix = refused, "correct its entry in mcp.json; it is read at once"
        elif status.connected and status.tools_known:
            reason, since = f"it has no tool {name!r}, or a policy denies it", None
            fix = f"tool_list with server {server!r} shows its tools"
        elif service is not None and service.state is ServiceState.STOPPED:
            reason = status.reason or "it is stopped"
            fix = way_to_enable(service) or f"service_start {server}"
        else:
            reason, fix = status.reason or "it is not connected", f"service_explain {server} shows what to do"
        return Unseen(server, tuple(sorted(classes)), reason, since, fix)

    def _cut_off(self) -> Iterator[Unseen]:
        """Yield the servers that were taken out of the configuration, with the services that they may still run."""
        if (tools := self._runtime.tools) is None:
            return
        services: dict[str, list[ServiceInstance]] = {}
        for service in instances_in(self._registry):
            if service.may_be_there:
                services.setdefault(service.service_class.tools.stop.server, []).append(service)
        for server, held in sorted(services.items()):
            if tools.server_status(server).known or self._registry.why_missing(server):
                continue
            names = tuple(service.name for service in held)
            classes = tuple(sorted({service.record.class_name for service in held}))
            fix = (
                "put its entry into mcp.json again, and stop them; or check by hand what it runs, and "
                f"service_delete {names[0]} with abandon=true forgets the service"
            )
            yield Unseen(server, classes, "is no longer in any mcp.json", None, fix, names)

    async def _listed(self, entry: ClassEntry, spec: LeftoversSpec) -> AsyncIterator[Leftover]:
        names: dict[str, object] = {
            "service": {"mark": self._runtime.mark, "class": entry.name},
            "env": dict(self._runtime.environment),
        }
        known = self._service_ids()  # one that is deleted meanwhile may still be listed
        items, error = await self._items(spec, names), None
        if spec.inspect_tool is not None:
            items, error = await self._inspected(entry, spec, spec.inspect_tool, items, names)
        known |= self._service_ids()  # a service is there before what it starts
        for item in items:
            is_marked = _without_name(search_value(spec.mark, item)) == self._runtime.mark
            if not is_marked or _without_name(search_value(spec.service_class, item)) != entry.name:
                continue  # a server may ignore what the arguments ask for
            service_id = _without_name(search_value(spec.service, item))
            outputs: JsonObject = {name: search_value(path, item) for name, path in spec.outputs.items()}
            if isinstance(service_id, str) and service_id and service_id not in known and _is_whole(outputs):
                known.add(service_id)
                yield Leftover(entry, service_id, outputs)
        if error is not None:
            raise error

    async def _items(self, spec: LeftoversSpec, names: dict[str, object]) -> list[JsonValue]:
        answer = await self._runtime.caller.call_tool(spec.tool, render(spec.args, names), timeout=LIST_SECONDS)
        if answer.is_error:
            raise ToolFailedError(answer.text[:500] or "it gave no reason")
        if spec.item_pattern is not None:
            return [*matched_values(spec.item_pattern, "item", answer.readable)]
        return as_list(search_value(spec.items, answer.value))

    async def _inspected(
        self, entry: ClassEntry, spec: LeftoversSpec, tool: str, items: list[JsonValue], names: dict[str, object]
    ) -> tuple[list[JsonValue], OstlerError | None]:
        """Return (what a second tool says of each item, why that is not known of all); the next look goes on.

        An item without this mark, which does not change, is inspected only once.
        """
        found: list[JsonValue] = []
        errors: list[OstlerError] = []
        failed: dict[str, str] = {}
        limiter = anyio.CapacityLimiter(_INSPECTED_AT_ONCE)
        others = self._others.setdefault(entry.digest, set())
        others.intersection_update(map(repr, items))
        new = [item for item in items if repr(item) not in others]
        left = {repr(item) for item in new}

        async def inspect(item: JsonValue) -> None:
            async with limiter:
                try:
                    args = render(spec.inspect_args, {**names, "item": item})
                    answer = await self._runtime.caller.call_tool(tool, args, timeout=LIST_SECONDS)
                except OstlerError as error:
                    errors.append(error)
                    return
                left.discard(repr(item))
                if answer.is_error:
                    failed[repr(item)] = answer.text
                    return
                try:
                    is_marked = _without_name(search_value(spec.mark, answer.value)) == self._runtime.mark
                except ExtractionError:
                    is_marked = False
                if is_marked:
                    found.append(answer.value)
                else:
                    others.add(repr(item))

        with anyio.move_on_after(LIST_SECONDS) as scope:
            async with anyio.create_task_group() as tasks:
                for item in new:
                    tasks.start_soon(inspect, item)
        if scope.cancelled_caught:
            errors.append(
                OperationTimeoutError(
                    f"{len(left)} of {len(new)} items could not be inspected within {LIST_SECONDS:g}s",
                    next_actions=("ostler prune again: it goes on with those that are left",),
                )
            )
        if failed and not errors:
            errors = await self._not_gone(spec, names, failed)
        return found, errors[0] if errors else None

    async def _not_gone(
        self, spec: LeftoversSpec, names: dict[str, object], failed: dict[str, str]
    ) -> list[OstlerError]:
        """Return the errors of inspections that `failed` although their items are listed on."""
        try:
            listed = {repr(item) for item in await self._items(spec, names)}
        except OstlerError as error:
            return [error]
        said = (text for item, text in failed.items() if item in listed)
        return [ToolFailedError(f"{spec.inspect_tool}: {text[:500] or 'it gave no reason'}") for text in said]

    def _service_ids(self) -> set[str]:
        return {service.id for service in instances_in(self._registry)}

    async def remove(self, left: Leftover) -> None:
        """Stop what is left over, as a service that is deleted; where that fails, it stays in the list as one.

        Raises:
            OstlerError: it could not be stopped.
        """
        now, entry = self._runtime.clock.now(), left.entry
        specs = {name: spec for name, spec in entry.service_class.spec.args.items() if spec.has_default}
        record = ServiceRecord(
            id=left.service_id,
            name=left.name,
            class_name=entry.name,
            class_digest=entry.digest,
            class_manifest=service_class_to_json(entry.service_class),
            args=validate_args(specs, {}),
            created_at=now,
            updated_at=now,
            desired=DesiredState.STOPPED,
            state=ServiceState.UNKNOWN,
            step_outputs={"start": left.outputs},
            purpose="left by an earlier run of Ostler, whose record of it was lost",
        )
        instance = ServiceInstance(self._runtime, record, entry.service_class, state=ServiceState.UNKNOWN)
        instance.pin_stop_plan()
        with anyio.CancelScope(shield=True):  # durable and registered, or neither
            await instance.commit()
        self._registry.register(instance)
        await instance.request(OperationKind.DELETE, reason=record.purpose).wait()

    async def remove_all(self, *, timeout: float | None = None) -> LeftoversSurvey:
        """Stop everything that is left over that no other call stops; return what was, and what was not, and why.

        Args:
            timeout: seconds to wait for the stops; one that is under way then goes on.
        """
        self._calls += 1
        try:
            return await self._remove_found(math.inf if timeout is None else anyio.current_time() + timeout)
        finally:
            self._calls -= 1
            if not self._calls:
                self._removed.clear()

    async def _remove_found(self, until: float) -> LeftoversSurvey:
        listed_at = self._removals
        before = await self.find(wait=True)
        removed: list[Leftover] = []
        errors, elsewhere, late = before.errors, before.elsewhere, before.late
        limiter = anyio.CapacityLimiter(_REMOVED_AT_ONCE)

        async def remove(left: Leftover) -> None:
            async with limiter:
                if left.service_id in self._removing or self._removed.get(left.service_id, 0) > listed_at:
                    elsewhere.append(left)
                    return
                if anyio.current_time() >= until:
                    late.append(left)
                    return
                self._removing.add(left.service_id)
                try:
                    with anyio.move_on_after(until - anyio.current_time()) as waiting:
                        await self.remove(left)
                    (late if waiting.cancelled_caught else removed).append(left)
                except OstlerError as error:
                    errors.append(error)
                finally:
                    self._removing.discard(left.service_id)
                    self._removals += 1
                    self._removed[left.service_id] = self._removals

        async with anyio.create_task_group() as tasks:
            for left in before.found:
                tasks.start_soon(remove, left)
        if removed:  # what `status` and `find` say of a service by its name says nothing of this one
            there = dict[str, Leftover]()
            for pause in _UNTIL_GONE:
                await anyio.sleep(pause)
                there = {left.service_id: left for left in (await self.find()).found}
                if not any(left.service_id in there for left in removed):
                    break
            errors += [_still_there(there[left.service_id]) for left in removed if left.service_id in there]
            removed = [left for left in removed if left.service_id not in there]
        return LeftoversSurvey(removed, before.unseen, errors, elsewhere, late)


def _still_there(left: Leftover) -> OperationError:
    tools = left.entry.service_class.tools
    return OperationError(
        f"{left}, is listed on although {tools.stop.tool} was called",
        step="stop",
        tool=tools.stop.tool,
        next_actions=("check it by hand", "ostler prune tries again"),
    )


def _without_name(value: JsonValue) -> JsonValue:
    """Return the value of `NAME=value`, and anything else as it is."""
    found = _VARIABLE.fullmatch(value) if isinstance(value, str) else None
    return value if found is None else found[1]


def _is_whole(outputs: JsonObject) -> bool:
    return all(value is not None for value in outputs.values())
