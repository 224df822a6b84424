"""Making instances: effective args, names, idempotent replays, the first record."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace  # noqa: TID251 (a dataclass)
from datetime import timedelta
from typing import Final

from msgspec import Struct

from ostler.engine.classes.catalogue import ClassCatalogue, ClassEntry
from ostler.engine.dependencies.jobs import has_ended, is_job
from ostler.engine.instances.instance import ControllerRuntime, ServiceInstance, instances_in
from ostler.engine.instances.state import InstanceState
from ostler.engine.services.registry import ServiceRegistry
from ostler.engine.services.views import (
    CREATED_FOR,
    DIRECTORY_LABEL,
    INPUTS_LABEL,
    MANAGED_LABEL,
    NAMESPACE_LABEL,
    RENEWAL_LABEL,
    CreateRequest,
    in_namespace,
)
from ostler.model.errors import AlreadyExistsError, ArgumentError, ConflictError
from ostler.model.json import JsonObject
from ostler.model.label_names import validate_service_name
from ostler.model.projects import Overrides
from ostler.model.records import ServiceRecord
from ostler.model.states import DesiredState, ServiceState
from ostler.rules.calls.arguments import validate_args
from ostler.rules.calls.overrides import overridden, overridden_args
from ostler.rules.loading.manifests import class_digest, service_class_to_json
from ostler.rules.secrets.secret_marks import references_in
from ostler.rules.templates.template import render


class NewService(Struct, frozen=True):
    """A create request with everything resolved.

    Attributes:
        request: what was asked for.
        entry: the class as this service uses it, its overrides included.
        args: the effective args.
        digest: what two equal requests share.
        name: the service's full name.
    """

    request: CreateRequest
    entry: ClassEntry
    args: JsonObject
    digest: str
    name: str


class InstanceFactory:
    """Turns create requests into instances, or finds the instance that an equal request made before."""

    def __init__(self, runtime: ControllerRuntime, registry: ServiceRegistry, classes: ClassCatalogue) -> None:
        self._runtime = runtime
        self._registry = registry
        self._classes = classes
        self._manifests: dict[str, JsonObject] = {}
        """By digest: the instances of a class share its manifest."""

    def class_fields(self, entry: ClassEntry) -> JsonObject:
        """Return what the record of a service of that class says of it."""
        manifest = self._manifests.get(entry.digest)
        if manifest is None:
            manifest = self._manifests[entry.digest] = service_class_to_json(entry.service_class)
        return {"class_name": entry.name, "class_digest": entry.digest, "class_manifest": manifest}

    def prepare(
        self, request: CreateRequest, choose_name: Callable[[ClassEntry, JsonObject, str], str] | None = None
    ) -> NewService:
        """Resolve `request`; nothing is made yet.

        Args:
            request: what to create.
            choose_name: gives the name of a request without one, from class, args and digest; else it is the class's
                `defaultName` or a generated one.

        Raises:
            NotFoundError: there is no such class.
            ArgumentError: the args, the name or the overrides do not fit.
        """
        entry, args, overrides = self._classes.get(request.class_name), request.args, request.overrides
        if overrides is not None:
            if problems := _misplaced_references(dict(overrides.env)):
                raise ArgumentError(problems)
            args = overridden_args(entry.service_class, overrides, args)
            if not overrides.is_empty:
                service_class = overridden(entry.service_class, overrides)
                entry = replace(entry, service_class=service_class, digest=class_digest(service_class))
        args = self.effective_args(
            entry, args, request.name, numbers_as_text=request.numbers_as_text, folder=request.folder
        )
        digest = request_digest(request.class_name, args, overrides)
        name = request.name
        if not name:
            name = choose_name(entry, args, digest) if choose_name else self.default_name(entry, args)
        if request.project is not None:
            name = request.project.full_name(name, foreign=entry.is_foreign)
        name = in_namespace(name, request.namespace)
        return NewService(request, entry, args, digest, name)

    def check_request(self, request: CreateRequest) -> None:
        """Refuse what no class allows.

        Raises:
            ArgumentError: a label takes a name of Ostler's own, or the lease is not positive.
        """
        problems = [
            f"label {label!r}: names that begin with 'ostler/' are Ostler's own"
            for label in request.labels
            if label.startswith("ostler/")
        ]
        if request.lease is not None and request.lease <= 0:
            problems.append("lease must be longer than 0s")
        if problems:
            raise ArgumentError(problems, service=request.name or None)

    def effective_args(
        self, entry: ClassEntry, args: JsonObject, name: str, *, numbers_as_text: bool = False, folder: str = ""
    ) -> JsonObject:
        """Return `args` with defaults applied, as `validate_args` does; an empty `name` is not checked.

        Raises:
            ArgumentError: args or name do not fit; all problems at once.
        """
        problems: list[str] = []
        missing: Sequence[str] = ()
        if name:
            try:
                validate_service_name(name, foreign=entry.is_foreign)
            except ValueError as error:
                problems.append(f"name: {error}")
        problems += _misplaced_references(args)
        try:
            spec = entry.service_class.spec
            effective = validate_args(
                spec.args,
                args,
                additional=spec.additional_args,
                numbers_as_text=numbers_as_text,
                folder=folder,
            )
        except ArgumentError as error:
            problems.extend(error.problems)
            missing = error.missing
            effective = {}
        if problems:
            raise ArgumentError(
                problems,
                missing=missing,
                next_actions=(f"serviceclass_get {entry.name} shows the arguments that it takes",),
            )
        return effective

    def default_name(self, entry: ClassEntry, args: JsonObject) -> str:
        """Return the class's `defaultName` for `args`, or a generated name.

        Raises:
            ArgumentError: the template gives no valid name.
        """
        template = entry.service_class.config.default_name
        if template is None:
            return f"{entry.name[:58].rstrip('-')}-{self._runtime.make_id()[:4]}"
        names = {**args, "args": args, "env": dict(self._runtime.environment)}
        name = str(render(template, names))
        try:
            return validate_service_name(name, foreign=entry.is_foreign)
        except ValueError as error:
            raise ArgumentError(
                [f"defaultName of class {entry.name!r} gives {name!r}: {error}"], next_actions=("give a name yourself",)
            ) from None

    def make(self, new: NewService) -> ServiceInstance:
        """Return a new instance with its first record; it is neither stored nor registered yet."""
        now, request, entry = self._runtime.clock.now(), new.request, new.entry
        traits: JsonObject = {**request.traits, "labels": {**request.labels, **_own_labels(request)}}
        record = ServiceRecord(
            id=self._runtime.make_id(),
            name=new.name,
            args=new.args,
            created_at=now,
            updated_at=now,
            desired=DesiredState.RUNNING if request.start else DesiredState.STOPPED,
            state=ServiceState.STOPPED,
            lease_expires_at=now + timedelta(seconds=request.lease) if request.lease is not None else None,
            idempotency_key=request.idempotency_key,
            request_digest=new.digest,
            **self.class_fields(entry),
            **traits,
        )
        return ServiceInstance(self._runtime, record, entry.service_class, state=ServiceState.STOPPED)

    def virtual(self, class_name: str, name: str, args: JsonObject, user: InstanceState) -> ServiceInstance:
        """Return the instance that would be made for `user`, so that its dependencies and calls can be read."""
        return self.make(self.prepare(dependency_request(class_name, name, args, user)))

    def replayed(self, new: NewService) -> ServiceInstance | None:
        """Return the instance that an equal request made before, or None when the way is free.

        Raises:
            ConflictError: the idempotency key was used with other arguments.
            AlreadyExistsError: the name is taken by something else.
        """
        request, name = new.request, new.name
        if request.idempotency_key and (made := self._made_with_key(new)) is not None:
            return made
        service = self._registry.find(name)
        if service is None:
            return None
        digest = without_gained(new, service).digest if isinstance(service, ServiceInstance) else new.digest
        if (
            isinstance(service, ServiceInstance)
            and not request.idempotency_key
            and service.record.class_name == request.class_name
            and service.record.request_digest == digest
        ):
            return service
        raise AlreadyExistsError(
            f"service {name!r} already exists"
            + (
                f" (class {service.record.class_name!r}) {_difference(service, request, digest)}"
                if isinstance(service, ServiceInstance)
                else f" as a {service.service_type}"
            ),
            service=name,
            next_actions=(
                f"service_get {name} shows it",
                "choose another name" + (", or delete it first" if isinstance(service, ServiceInstance) else ""),
            ),
        )

    def _made_with_key(self, new: NewService) -> ServiceInstance | None:
        """Return the instance that a request with the same idempotency key made.

        Raises:
            ConflictError: that request had other arguments.
        """
        key = new.request.idempotency_key
        for instance in instances_in(self._registry):
            if instance.record.idempotency_key == key:
                if instance.record.request_digest != new.digest or (new.request.name and new.name != instance.name):
                    raise ConflictError(
                        f"idempotency key {key!r} was used for service {instance.name!r} with other arguments",
                        service=instance.name,
                        next_actions=("use a new key for a new service",),
                    )
                return instance
        return None

    def may_come(self, tool: str) -> bool:
        """Whether a missing tool's server is only not connected yet, so that the call itself will show it."""
        assert self._runtime.tools is not None
        status = self._runtime.tools.server_status(tool.partition("/")[0])
        return status.known and not status.tools_known


def runs_again(existing: ServiceInstance, request: CreateRequest) -> bool:
    """Whether an equal create starts a service that is not up: a job that has completed is there, and stays so.

    One that has failed runs again, unless an idempotency key says that it is the same request.
    """
    return not (is_job(existing) and has_ended(existing) and (request.idempotency_key or existing.has_completed))


def dependency_request(class_name: str, name: str, args: JsonObject, user: InstanceState) -> CreateRequest:
    """Return the request that makes a dependency of `user` on demand, not started."""
    return CreateRequest(
        class_name,
        name,
        args,
        persist=user.record.persist,
        owner=user.record.owner,
        namespace=str(user.record.labels.get(NAMESPACE_LABEL, "")),
        purpose=f"made for {user.name}",
        labels={CREATED_FOR: user.name},
        folder=str(user.record.labels.get(DIRECTORY_LABEL, "")),
        start=False,
    )


def _own_labels(request: CreateRequest) -> JsonObject:
    own: JsonObject = {NAMESPACE_LABEL: request.namespace} if request.namespace else {}
    if request.project is None:
        return own
    if request.managed:
        own[MANAGED_LABEL] = "ostler.yaml"
    if request.inputs:
        own[INPUTS_LABEL] = request.inputs
    if request.lease_renewal:
        own[RENEWAL_LABEL] = request.lease_renewal
    return {**own, **request.project.labels}


def without_gained(new: NewService, service: ServiceInstance) -> NewService:
    """Return `new` without the args that its class has gained since `service` was made, where they have their default.

    No one has asked for those.
    """
    args, before = new.entry.service_class.spec.args, service.service_class.spec.args
    gained = {name for name in args.keys() - before.keys() if new.args.get(name) == args[name].default}
    if not gained:
        return new
    known = {name: value for name, value in new.args.items() if name not in gained}
    digest = request_digest(new.request.class_name, known, new.request.overrides)
    return NewService(new.request, new.entry, known, digest, new.name)


def request_digest(class_name: str, args: JsonObject, overrides: Overrides | None = None) -> str:
    """Return what two equal requests share."""
    changes = [] if overrides is None or overrides.is_empty else [overrides.model_dump(mode="json", by_alias=True)]
    return hashlib.sha256(_ENCODE([class_name, args, *changes]).encode()).hexdigest()


_ENCODE: Final = json.JSONEncoder(sort_keys=True, default=str).encode


def _difference(service: ServiceInstance, request: CreateRequest, digest: str) -> str:
    """Return how the request that made `service` differs from `request`."""
    if service.record.class_name != request.class_name:
        return f"and not of class {request.class_name!r}"
    if service.record.request_digest != digest:
        return "with other arguments"
    return "with the same arguments, made by a request with another idempotency key or none"


def _misplaced_references(values: JsonObject) -> list[str]:
    """Return the problems of references to secrets outside of a file: an agent may have been tricked into one."""
    return [
        f"{reference} is looked up only where it is written in the args or env of an ostler.yaml"
        for reference in references_in(values)
    ]
