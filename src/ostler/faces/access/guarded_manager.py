"""The engine as one principal may use it: it reads what it sees, and changes what it may."""

from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Final, Unpack

from msgspec.structs import replace

from ostler.engine.dependencies.graph import reached
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.management import Manager
from ostler.engine.requests.creator import InstanceLimitError
from ostler.engine.services.service import Service
from ostler.engine.services.views import (
    CreateRequest,
    OperationRequest,
    OperationResult,
    ServiceView,
    WaitingOptions,
    in_namespace,
)
from ostler.faces.access.acting import Acting
from ostler.faces.access.hidden_names import HiddenNames
from ostler.faces.access.rights import Rights
from ostler.faces.access.seen_classes import SeenClasses, SeenPlans
from ostler.faces.access.seen_services import Owners, SeenEvents, SeenRegistry, owner_of
from ostler.model.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    ArgumentError,
    NotFoundError,
    OstlerError,
    QuotaError,
)
from ostler.model.json import JsonObject
from ostler.model.label_names import validate_name
from ostler.model.records import OperationRecord


class GuardedManager(Manager):
    """Does for a principal what its policy allows; everything else does not exist for it."""

    def __init__(self, manager: Manager, rights: Rights, acting: Acting, owners: Owners) -> None:
        self._manager = manager
        self._rights = rights
        self._acting = acting
        self._seen = SeenRegistry(manager.registry, rights, owners)
        self._events = SeenEvents(manager.events, self._seen, rights)
        self._classes = SeenClasses(manager.classes, rights)
        self._plans = SeenPlans(manager.plans, self._seen, self._asked)

    def __repr__(self) -> str:
        return f"GuardedManager({self._rights!r})"

    @property
    def registry(self) -> SeenRegistry:
        """The services that the principal sees."""
        return self._seen

    @property
    def events(self) -> SeenEvents:
        """The events that the principal sees."""
        return self._events

    @property
    def classes(self) -> SeenClasses:
        """The classes that the principal may use."""
        return self._classes

    @property
    def plans(self) -> SeenPlans:
        """Plans of what the principal may do."""
        return self._plans

    # -- reading -------------------------------------------------------------------------------------------

    def find_removed(self, name: str) -> ServiceInstance | None:
        """Return the service `name` that the principal saw, and that was removed a while ago."""
        for candidate in (in_namespace(name, self._rights.namespace), name):
            found = self._manager.find_removed(candidate)
            if found is not None and self._rights.sees(found.record.owner):
                return found
        return None

    async def reveal_secrets(self, name: str) -> tuple[JsonObject, JsonObject]:
        """Return (args, outputs) of an instance with its secrets unmasked.

        Raises:
            NotFoundError: there is none.
            AccessDeniedError: it is another's.
        """
        service = self._seen.get(name)
        async with self._acting.act("secrets", service.name, refusal=self._not_managed(service, "secrets")):
            return await self._manager.reveal_secrets(service.name)

    def secrets(self) -> frozenset[str]:
        """Return every secret text of every service, for masking; nothing shows them."""
        return self._manager.secrets()

    def instances_of(self, class_name: str) -> list[str]:
        """Return the names of the instances of a class."""
        return [name for name in self._manager.instances_of(class_name) if self._seen.is_seen(name)]

    async def history(self, name: str, limit: int = 20) -> Sequence[OperationRecord]:
        """Return the newest operations of a service, newest first; NotFoundError when there is no such service."""
        full = self._seen.get(name).name
        hidden = self._seen.hidden_around((full,))
        return [hidden.record(record) for record in await self._manager.history(full, limit)]

    def is_seen(self, name: str) -> bool:
        """Whether the service `name`, which may be gone, is one that the principal sees."""
        return self._seen.is_seen(name)

    # -- creating ------------------------------------------------------------------------------------------

    def validate(
        self, class_name: str, args: JsonObject, name: str = "", *, numbers_as_text: bool = False, folder: str = ""
    ) -> JsonObject:
        """Return the effective args (masked) of a create, without doing anything; as `Manager.validate`."""
        self.classes.get(class_name)
        own = name and self._own_name(name)
        return self._manager.validate(class_name, args, own, numbers_as_text=numbers_as_text, folder=folder)

    def difference(self, request: CreateRequest) -> str:
        """Return in words how the service of that name differs from what `request` makes."""
        asked = self._asked(request)
        self._seen.get(asked.name)
        return self._manager.difference(asked)

    def name_of(self, request: CreateRequest) -> str:
        """Return the name of the service that `request` makes."""
        return self._manager.name_of(self._asked(request))

    def chosen_dependencies(self, request: CreateRequest) -> list[str]:
        """Return the services that the args of `request` would make its service depend on."""
        return self._manager.chosen_dependencies(self._asked(request))

    async def create(self, request: CreateRequest, **waiting: Unpack[WaitingOptions]) -> OperationResult:
        """Create an instance and, by default, start it; as `Manager.create`.

        Raises:
            AccessDeniedError, QuotaError: the policy does not allow it.
            OstlerError: as there.
        """
        try:
            asked = self._asked(request)
            refusal = None
        except OstlerError as error:
            asked, refusal = request, error
        if refusal is None and not (asked.name or asked.plan_id or asked.idempotency_key):
            asked = replace(asked, name=self._manager.name_of(asked))  # so that the quota knows when it is there
        name = asked.name and in_namespace(asked.name, asked.namespace)
        act = self._acting.act("create", f"{request.class_name} {name}".strip(), starts=request.start, refusal=refusal)
        async with act, self._room(asked, name):
            with self._without_hidden(name):
                return self._shown(await self._manager.create(asked, **waiting))

    def _asked(self, request: CreateRequest) -> CreateRequest:
        """Return what a request comes to: in the principal's name and namespace.

        Raises:
            OstlerError: it asks for what the principal may not have.
        """
        policy, me = self._rights.policy(), self._rights.name
        self.classes.get(request.class_name)
        if policy.admin:
            is_named = request.owner or self._rights.principal.unrestricted
            return request if is_named else replace(request, owner=me)
        if request.owner not in ("", me) and not self._rights.manages(request.owner):
            raise AccessDeniedError(
                f"{me!r} cannot create services of owner {request.owner!r}",
                next_actions=("leave owner out: the service is yours",),
            )
        overrides = request.overrides
        if overrides is not None and overrides.env:
            raise AccessDeniedError(
                f"{me!r} cannot set environment variables of a service",
                next_actions=("use the arguments of the class; serviceclass_get shows them", _ASK_ADMIN),
            )
        if overrides is not None and overrides.depends_on:
            needs = {self._reachable(name): need for name, need in overrides.depends_on.items()}
            overrides = overrides.model_copy(update={"depends_on": needs})
        asked = replace(
            request,
            name=request.name and self._own_name(request.name),
            owner=request.owner or me,
            overrides=overrides,
            namespace=self._rights.namespace,
            project=None,
            managed=False,
            idempotency_key=request.idempotency_key and f"{request.idempotency_key}@{me}",
        )
        if not policy.sees_everything:
            self._check_name(self._manager.name_of(asked))
            for name in self._manager.chosen_dependencies(asked):
                self._reachable(name)
        return asked

    def _check_name(self, full: str) -> None:
        """Refuse the name of a service that the principal does not see.

        Such a one can end with its namespace, too: a project of that name, or an admin, may have made it.

        Raises:
            AlreadyExistsError: the name is taken.
        """
        if self._is_hidden(full):
            raise AlreadyExistsError(
                f"the name {full!r} is taken, by a service that {self._rights.name!r} does not see",
                service=full,
                next_actions=("choose another name",),
            )

    def _is_hidden(self, full: str) -> bool:
        return self._manager.registry.find(full) is not None and self._seen.find(full) is None

    def _own_name(self, name: str) -> str:
        """Return the name that a new service gets.

        Raises:
            ArgumentError: it is in the namespace of someone else.
        """
        namespace = self._rights.namespace
        if not namespace:
            return name
        short = name.removesuffix(f".{namespace}")
        try:
            validate_name(short)
        except ValueError as error:
            raise ArgumentError(
                [f"name: {error}"], next_actions=(f"your services are called NAME.{namespace}",)
            ) from None
        return in_namespace(short, namespace)

    def _reachable(self, name: str) -> str:
        """Return the full name of a service that the principal's may depend on.

        Raises:
            NotFoundError: there is none that it sees.
        """
        full = self._seen.resolve(name)
        namespace = self._rights.namespace
        is_own = full.endswith(f".{namespace}") and not self._is_hidden(full)
        if not namespace or self._seen.find(full) is not None or is_own:
            return full
        raise self._seen.missing(name)

    @asynccontextmanager
    async def _room(self, asked: CreateRequest, name: str) -> AsyncGenerator[None]:
        """Count a service that is being created until it is one of its owner's, and its start.

        Args:
            asked: its request; the owner can be someone whose services the principal manages.
            name: its full name; empty if the engine chooses it.

        Raises:
            QuotaError: the policy allows no more.
        """
        policy, account, me = self._rights.policy(), self._acting.account, self._rights.name
        if policy.admin:
            yield
            return
        registry, owner = self._manager.registry, asked.owner
        owned = sum(owner_of(service) == owner for service in registry.get_all())
        owned += sum(whose == owner and registry.find(new) is None for whose, new in account.creating)
        limit = self._rights.max_services(owner)
        if owned >= limit and self._seen.find(name) is None:
            raise QuotaError(
                f"{owner!r} has {owned} services, and may not have more (maxServices = {limit})",
                next_actions=("service_delete one that is no longer needed", f"service_list owner={owner} shows them"),
            )
        if asked.start:
            account.take_start(policy.starts_per_hour, me)
        account.creating.append((owner, name))
        try:
            yield
        finally:
            account.creating.remove((owner, name))

    # -- operations ----------------------------------------------------------------------------------------

    async def operate(self, name: str, asked: OperationRequest, **waiting: Unpack[WaitingOptions]) -> OperationResult:
        """Carry out what is asked of the service `name`; as `Manager.operate`.

        Raises:
            AccessDeniedError, QuotaError: the policy does not allow it.
            OstlerError: as there.
        """
        full = self._seen.resolve(name)
        service = self._seen.find(full)
        if service is None and asked.idempotency_key:
            full = in_namespace(name, self._rights.namespace)  # the answer to a key stays when the service is gone
        policy = self._rights.policy()
        refusal = None if service is None else self._not_managed(service, asked.kind.value, dependents=asked.dependents)
        if service is None and not (asked.idempotency_key and self._seen.is_seen(full)):
            refusal = self._seen.missing(name)
        if asked.adopt and not policy.admin:
            refusal = refusal or AccessDeniedError(
                f"{self._rights.name!r} cannot say what the start of {full!r} gave: it could name what is another's",
                service=full,
                next_actions=("adopt without outputs, so that the class's own tools find it", _ASK_ADMIN),
            )
        if asked.idempotency_key and not policy.admin:
            asked = replace(asked, idempotency_key=f"{asked.idempotency_key}@{self._rights.name}")
        async with self._acting.act(asked.kind.value, full, starts=asked.kind.brings_up, refusal=refusal):
            if asked.kind.brings_up and not policy.admin:
                self._acting.account.take_start(policy.starts_per_hour, self._rights.name)
            with self._without_hidden(full):
                return self._shown(await self._manager.operate(full, asked, **waiting))

    @contextmanager
    def _without_hidden(self, name: str) -> Generator[None]:
        """Let an error of the engine about the service `name` say nothing of services that are hidden."""
        before = self._seen.hidden_around((name,)).without(name)
        try:
            yield
        except NotFoundError as error:
            raise (self._seen.missing(name) if error.kind == "service" else error) from None
        except InstanceLimitError as error:
            seen = [each for each in error.instances if self._seen.is_seen(each)]
            raise InstanceLimitError(error.class_name, error.limit, seen, service=error.service) from None
        except OstlerError as error:
            hidden = HiddenNames(before.names | self._seen.hidden_around((name,)).without(name).names)
            clean = hidden.error(error)
            if clean is error:
                raise
            raise clean from None

    def _not_managed(self, service: Service, action: str, *, dependents: bool = False) -> OstlerError | None:
        """Return why the principal may not change `service`, and what depends on it; None if it may."""
        concerned = [service.name]
        if dependents:
            services = self._manager.registry.get_all()
            concerned += reached(concerned, lambda name: [one.name for one in services if name in one.dependencies])
        for name in concerned:
            other = self._manager.registry.find(name)
            if other is not None and not self._rights.manages(owner_of(other)):
                if name == service.name:
                    text = f"{self._rights.name!r} sees service {name!r} and may not change it ({action})"
                else:
                    text = f"{self._rights.name!r} may not {action} what depends on service {service.name!r}"
                whose = owner_of(other)
                hint = f"ask its owner, {whose}" if name == service.name and whose else _ASK_ADMIN
                return AccessDeniedError(text, service=service.name, next_actions=(hint,))
        return None

    async def check_health(self, name: str) -> ServiceView:
        """Check the health of the service `name` now and return its snapshot."""
        service = self._seen.get(name)
        await self._manager.check_health(service.name)
        return self.view(service.name)

    async def send_input(self, name: str, text: str, *, enter: bool = True) -> str:
        """Send `text` to what the service `name` runs; as `Manager.send_input`.

        Raises:
            AccessDeniedError: it is another's.
            OstlerError: as there.
        """
        service = self._seen.get(name)
        async with self._acting.act("input", service.name, refusal=self._not_managed(service, "input")):
            return await self._manager.send_input(service.name, text, enter=enter)

    async def renew(self, name: str, lease: float | None = None) -> ServiceView:
        """Let the lease of the service `name` end `lease` seconds from now; as `Manager.renew`."""
        service = self._seen.get(name)
        async with self._acting.act("renew", service.name, refusal=self._not_managed(service, "renew")):
            await self._manager.renew(service.name, lease)
        return self.view(service.name)

    def _shown(self, result: OperationResult) -> OperationResult:
        hidden = self._seen.hidden_around((result.service.name,))
        return replace(result, service=hidden.view(result.service), message=hidden.text(result.message))


_ASK_ADMIN: Final = "ask the person who runs this Ostler: [principals] in ostler.toml"
