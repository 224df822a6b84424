"""The one error tree. Every message says what happened, to which service, at which step and tool, and what next.

Branches by what a caller can do: `DefinitionError` (correct a file or the arguments), `RequestError` (ask for
something else), `OperationError` (look at the service), `StoreError` (the state folder needs care), and, in
`downstream_errors`, `DownstreamError` (a tool call got no answer).
"""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Self


class Finding(NamedTuple):
    """One problem in a file, as `ostler check` and every load error show it.

    Attributes:
        message: what is wrong, in one sentence.
        file: the file's path as the user knows it, if it came from a file.
        line: 1-based line, 0 when unknown.
        column: 1-based column, 0 when unknown.
        rule: the rule's id, such as `unknown-key`.
        path: the key path inside the document, such as `spec.args.port`.
        fix: what to write instead, if known.
        severity: `error`, `warning`, or `note` for what is worth knowing but needs no action.
    """

    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    rule: str = ""
    path: str = ""
    fix: str = ""
    severity: str = "error"

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        parts = (where and f"{where}: ", self.message, self.rule and f" [{self.rule}]", self.fix and f"; {self.fix}")
        return "".join(parts)


class OstlerError(Exception):
    """Base of every error that a person or agent can meet.

    Attributes:
        summary: what happened, one sentence without a full stop.
        service: the service's name, if one is concerned.
        step: the lifecycle step (`start`, `ready`, `stop`, `healthCheck` …), if one is concerned.
        tool: the downstream tool as `server/tool`, if one was called.
        next_actions: what to do next, each an imperative phrase.
    """

    code: ClassVar[str] = "error"
    retryable: bool = False
    _has_remark: bool = False

    def __init__(
        self,
        summary: str,
        *,
        service: str | None = None,
        step: str | None = None,
        tool: str | None = None,
        next_actions: Sequence[str] = (),
    ) -> None:
        self.summary = summary
        self.service = service
        self.step = step
        self.tool = tool
        self.next_actions = tuple(next_actions)
        super().__init__(summary)

    def __str__(self) -> str:
        context = [
            f"{label} {value!r}"
            for label, value in (("service", self.service), ("step", self.step), ("tool", self.tool))
            if value and repr(value) not in self.summary
        ]
        text = self.summary
        if context:
            text += f"{' ' if self._is_sentence else chr(10) * 2}({', '.join(context)})"
        if self.next_actions:
            end = "" if text.endswith(("?", ".")) else "."
            end = f"{end} " if context or self._is_sentence else "\n\n"
            text += f"{end}Next: {'; '.join(self.next_actions)}"
        return text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.summary!r})"  # `args` may have what was masked since

    @property
    def _is_sentence(self) -> bool:
        """Whether text may follow `summary` on its line: it does not end with lines of a tool, such as a log's."""
        return self._has_remark or "\n" not in self.summary

    def add(self, remark: str) -> None:
        """Add a remark to `summary`, apart from it if that ends with several lines of a tool."""
        self.summary += f"; {remark}" if self._is_sentence else f"\n\n{remark[0].upper()}{remark[1:]}"
        self._has_remark = True

    def located(self, *, service: str | None = None, step: str | None = None, tool: str | None = None) -> Self:
        """Fill in what the raiser did not know of where it happened; return the same error."""
        self.service = self.service or service
        self.step = self.step or step
        self.tool = self.tool or tool
        return self

    def fresh(self) -> Self:
        """Return an equal error that was never raised; adding to it does not change this one."""
        copy = type(self).__new__(type(self), *self.args)
        copy.args = self.args
        copy.__dict__.update(self.__dict__)
        copy.__cause__, copy.__suppress_context__ = self.__cause__, True
        return copy


class DefinitionError(OstlerError):
    """A file, manifest, template or argument is wrong; nothing was run."""

    code = "definition"


class ManifestError(DefinitionError):
    """A manifest or configuration file could not be loaded. `findings` lists every problem at once."""

    code = "manifest"

    def __init__(self, findings: Sequence[Finding], *, what: str = "manifest") -> None:
        self.findings = tuple(findings)
        head = f"{what} has {len(findings)} problem{'' if len(findings) == 1 else 's'}: "
        steps = ("correct the places named and try again",)
        super().__init__(head + "; ".join(map(str, findings)), next_actions=steps)


class ArgumentError(DefinitionError):
    """Arguments do not fit; `problems` lists all of them. The text starts with `arg validation failed: `."""

    code = "arguments"

    def __init__(
        self,
        problems: Sequence[str],
        *,
        missing: Sequence[str] = (),
        service: str | None = None,
        next_actions: Sequence[str] = (),
    ) -> None:
        self.problems = tuple(problems)
        self.missing = tuple(missing)
        """The required arguments that were not given."""
        text = "arg validation failed: " + "; ".join(problems)
        steps = next_actions or ("correct the arguments and make the call again",)
        super().__init__(text, service=service, next_actions=steps)


class TemplateError(DefinitionError):
    """A template cannot be parsed, or names something that is not there. `missing` lists undefined names."""

    code = "template"

    def __init__(
        self,
        summary: str,
        *,
        missing: Sequence[str] = (),
        service: str | None = None,
        step: str | None = None,
        tool: str | None = None,
        next_actions: Sequence[str] = (),
    ) -> None:
        self.missing = tuple(missing)
        super().__init__(summary, service=service, step=step, tool=tool, next_actions=next_actions)


class ExtractionError(OstlerError):
    """An output or expectation path found nothing; the text names the path and shows what was there."""

    code = "extraction"


class RequestError(OstlerError):
    """The request cannot be carried out as asked."""

    code = "request"


class NotFoundError(RequestError):
    """What was named does not exist. The text has `not found`."""

    code = "not_found"

    def __init__(
        self, kind: str, name: str, *, known: Sequence[str] = (), why: str = "", next_actions: Sequence[str] = ()
    ) -> None:
        self.kind, self.name, self.why = kind, name, why
        from ostler.model.near_names import hint_at  # noqa: PLC0415 (only wanted when something went wrong)

        hint = f": {why}" if why else hint_at(name, known)
        super().__init__(f"{kind} {name!r} not found{hint}", next_actions=next_actions)


class AlreadyExistsError(RequestError):
    """The name is taken. The text has `already exists`."""

    code = "already_exists"


class ConflictError(RequestError):
    """The request contradicts what is there or under way (other args for the same key, a newer request)."""

    code = "conflict"
    holders: Sequence[str] = ()  # of a port that is in use: the keys of this Ostler's processes that hold it


class AccessDeniedError(RequestError):
    """The policy of the one who asks does not allow it; nothing was done."""

    code = "access_denied"


class QuotaError(RequestError):
    """The one who asks has, or has done, as much as their policy allows; nothing was done."""

    code = "quota"


class BusyError(RequestError):
    """More calls are under way than are taken at once; nothing was done. The text says when to come back."""

    code = "busy"
    retryable = True

    def __init__(self, under_way: int, seconds: int) -> None:
        self.under_way = under_way
        self.seconds = seconds
        super().__init__(
            f"busy: {under_way} calls are under way, and no more are accepted",
            next_actions=(f"make the same call again after {seconds} s",),
        )


class ConfirmationError(RequestError):
    """A person must confirm the call (`confirmTools` of the policy), and no one did; nothing was done."""

    code = "confirmation"

    def __init__(self, name: str, causes: Sequence[str], *, asked: bool) -> None:
        self.causes = tuple(causes)
        self.asked = asked
        why = f"the policy of this Ostler wants a person to confirm {', '.join(causes)} (confirmTools)"
        steps = ("a person can do it at a terminal, where the command ostler asks",)
        end = "this client cannot ask one (elicitation)"
        if asked:  # agents that run without a person decline at once, and show no one the question
            end = "the client answered that the person did not; in a run without a person, clients answer so unasked"
            steps = ("leave it, unless the person asks for it again", *steps)
        super().__init__(f"{name} was not confirmed, so nothing was done: {why}, and {end}", next_actions=steps)


class OperationError(OstlerError):
    """An operation on a service did not reach its goal."""

    code = "operation"


class ClassUnavailableError(OperationError):
    """The class's tools are not all there. The text has `not available (missing required tools: …)`."""

    code = "class_unavailable"

    def __init__(
        self, class_name: str, missing: Sequence[str], *, service: str | None = None, next_actions: Sequence[str] = ()
    ) -> None:
        self.class_name = class_name
        self.missing = tuple(missing)
        super().__init__(
            f"ServiceClass {class_name!r} not available (missing required tools: {', '.join(missing)})",
            service=service,
            next_actions=next_actions
            or (f"serviceclass_available {class_name} shows which downstream server is missing and how to add it",),
        )


class ToolFailedError(OperationError):
    """A lifecycle tool answered with a failure, or its answer missed an expectation.

    Attributes:
        is_error: the tool itself said that it failed (`isError`).
        is_refusal: it said so and `expect` has no `success`, or it is out of reach: the answer proves nothing.
        is_out_of_reach: the tool said, as an error or not, that it could not reach what it had to ask.
        is_absence: the answer proves that the thing does not exist, which is a fact and not a failed probe.
        is_leaving, is_coming: the answer says that the thing is being removed, or created, and so exists.
        is_unclear: the answer is not of the kind that was expected (nothing, or text instead of JSON).
        is_final: the answer matches the ready check's `failWhen`: waiting is of no use.
        is_named: the answer matches `retry.when`, or there is no such key: it is a reason to try again.
        is_already_gone: the answer matches the stop call's `goneWhen`: there was nothing to stop.
    """

    code = "tool_failed"
    is_error: bool = False
    is_refusal: bool = False
    is_out_of_reach: bool = False
    is_absence: bool = False
    is_leaving: bool = False
    is_coming: bool = False
    is_unclear: bool = False
    is_final: bool = False
    is_named: bool = True
    is_already_gone: bool = False


class OperationTimeoutError(OperationError):
    """The time that the class allows for the step has passed."""

    code = "timeout"
    retryable = True


class SupersededError(OperationError):
    """A later request for the same service took the place of this one."""

    code = "superseded"


class DependencyError(OperationError):
    """A required dependency is missing, failed, or part of a cycle."""

    code = "dependency"


class StoreError(OstlerError):
    """The state folder cannot be used as it is."""

    code = "store"


class StoreCorruptError(StoreError):
    """The database is damaged; it was left untouched."""

    code = "store_corrupt"


class StoreNewerError(StoreError):
    """The database was written by a newer Ostler; it was left untouched."""

    code = "store_newer"


class StoreHeldError(StoreError):
    """Another server holds the database."""

    code = "store_held"


class StateLockedError(StoreError):
    """Another server owns the state folder."""

    code = "state_locked"

    def __init__(self, folder: str, owner: str) -> None:
        self.folder = folder
        self.owner = owner
        super().__init__(
            f"another Ostler server{owner and f' ({owner})'} owns the state folder {folder!r}",
            next_actions=("stop it with `ostler stop-server`", "or use another folder with --state"),
        )
