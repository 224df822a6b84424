"""A project's services by their full names, with what each needs, and the requests that make them."""

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from ostler.engine.dependencies.graph import reached
from ostler.engine.manager import ServiceManager
from ostler.engine.services.views import CreateRequest, ProjectRef
from ostler.model.errors import Finding, ManifestError, TemplateError
from ostler.model.json import JsonObject
from ostler.model.projects import NeedSpec, Overrides, ProjectServiceSpec
from ostler.rules.loading.projects import LoadedProject
from ostler.rules.templates.template import render
from ostler.rules.text.work_budget import bounded_work


def as_written(values: JsonObject) -> JsonObject:
    """Return `values`, if nothing can look up a secret."""
    return values


class ProjectScope(Struct, frozen=True):
    """One project at one moment.

    Attributes:
        ref: the project.
        main: the project of the main checkout, which has the shared services; the same for the main checkout itself.
        loaded: its file.
        env_files: by service, the variables of its `envFile`.
        environment: what templates see as `env`.
        inputs: by job, the digest of the files that it watches.
        marked: replaces the references to secrets that the file has by marks.
        is_bare: there is no main checkout, and `main` is the folder of a bare repository.
        shared_folder: where paths of shared services start if the folder of `main` does not exist; else empty.
        faults: by service, what is wrong with the files that it names, such as an `envFile` that is missing.
    """

    ref: ProjectRef
    main: ProjectRef
    loaded: LoadedProject
    env_files: Mapping[str, Mapping[str, str]] = {}
    environment: Mapping[str, str] = {}
    inputs: Mapping[str, str] = {}
    marked: Callable[[JsonObject], JsonObject] = as_written
    is_bare: bool = False
    shared_folder: str = ""
    faults: Mapping[str, Sequence[Finding]] = {}

    @property
    def services(self) -> Mapping[str, ProjectServiceSpec]:
        """The services of the file, by short name."""
        return self.loaded.project.services

    def owner_of(self, name: str) -> ProjectRef:
        """Return the project that the service called `name` belongs to."""
        return self.main if self.services[name].shared else self.ref

    def full_name(self, name: str) -> str:
        """Return the full name of the service that the file calls `name`."""
        return self.owner_of(name).full_name(name)

    def needs(self, name: str) -> list[str]:
        """Return the short names of what service `name` needs."""
        return list(self.loaded.needs(name))

    def is_required(self, name: str, needed: str) -> bool:
        """Whether service `name` cannot do without `needed`."""
        need = self.services[name].depends_on.get(needed)
        return need is None or need.required

    def users_of_end(self, name: str) -> list[str]:
        """Return the services that need the end of the job `name`."""
        return [
            user
            for user, spec in self.services.items()
            for needed, need in spec.depends_on.items()
            if needed == name and need.condition == "completed"
        ]

    def closure(self, names: list[str]) -> list[str]:
        """Return `names` and all that they need, in an order in which they can be made."""
        wanted = reached(names, self.needs)
        return [name for name in self.loaded.order if name in wanted]

    def request(self, name: str, manager: ServiceManager) -> CreateRequest:
        """Return the request that makes service `name`, with the outputs of other services as they are now.

        Raises:
            TemplateError: an output is not known (yet).
            ManifestError: a file that the service names cannot be read.
        """
        if faults := self.faults.get(name):
            raise ManifestError(faults, what=self.loaded.file)
        spec = self.services[name]
        owner = self.owner_of(name)
        names = self.template_names(name, manager)
        try:
            with bounded_work():
                written = self.written(name)
                rendered: JsonObject = render(written["args"], names)
                env: JsonObject = render({**self.env_files.get(name, {}), **written["env"]}, names)
            args = {key: value for key, value in rendered.items() if value is not None}  # as if it were not written
        except TemplateError as error:
            error.service = self.full_name(name)
            error.step = "ostler.yaml"
            raise
        overrides = Overrides.model_construct(
            depends_on={self.full_name(other): spec.depends_on.get(other) or NeedSpec() for other in self.needs(name)},
            restart_policy=spec.restart_policy,
            health_check=spec.health_check,
            idle_stop=spec.idle_stop,
            env={key: _variable(value) for key, value in env.items()},
        )
        return CreateRequest(
            spec.class_name,
            self.full_name(name),
            args,
            auto_start=spec.auto_start,
            lease=spec.lease,
            purpose=spec.purpose,
            overrides=overrides,
            project=owner,
            folder=(self.shared_folder if spec.shared else "") or owner.directory,
            managed=True,
            inputs=self.inputs.get(name, ""),
            lease_renewal=spec.lease_renewal,
        )

    def written(self, name: str) -> dict[str, JsonObject]:
        """Return the args and the env of service `name` as templates, by these keys, with marks for secrets.

        They are set before anything is rendered: what a template gives, such as another tool's words, is no reference.
        """
        spec = self.services[name]
        return {"args": self.marked(spec.args), "env": self.marked(dict(spec.env))}

    def template_names(self, name: str, manager: ServiceManager) -> JsonObject:
        """Return what templates of service `name` see, with the outputs of other services as they are now."""
        owner = self.owner_of(name)
        return {
            "services": {other: self._outputs(other, manager) for other in self.needs(name)},
            "project": {"name": self.main.id, "id": owner.id, "directory": owner.directory},
            "env": dict(self.environment),
        }

    def _outputs(self, name: str, manager: ServiceManager) -> JsonObject:
        full = self.full_name(name)
        if manager.registry.find(full) is None:
            return {"outputs": {}}
        _, outputs = manager.reveal(full)
        return {"outputs": outputs, "name": full}


def _variable(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)
