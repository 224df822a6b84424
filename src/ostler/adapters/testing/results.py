"""How a test of a class, and each of its steps, went."""

from collections.abc import Iterator

from msgspec import Struct

from ostler.engine.services.views import OperationResult
from ostler.model.class_tests import StepExpectation
from ostler.model.durations import format_duration
from ostler.model.errors import OstlerError


class Failure(Struct, frozen=True):
    """Something that is not as a test expects.

    Attributes:
        message: what, in one sentence.
        details: more lines: differences, and the calls as they were made.
        file: the file of the tests.
        line: 1-based line of what was expected.
        column: 1-based column.
        path: the key path in the file.
    """

    message: str
    details: tuple[str, ...]
    file: str
    line: int
    column: int
    path: str

    def __str__(self) -> str:
        return "\n".join([f"{self.file}:{self.line}:{self.column}: {self.message}", *self.details])


class TestResult(Struct, frozen=True):
    """How one test went.

    Attributes:
        class_name: the class that was tested.
        name: the test's name.
        file: its file.
        line: where it begins.
        failures: what was not as expected; none when it passed.
        seconds: how much virtual time it took.
    """

    __test__ = False

    class_name: str
    name: str
    file: str
    line: int
    failures: tuple[Failure, ...] = ()
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.failures


class Outcome(Struct, frozen=True):
    """How a step ended: its error or its result, what time it took, and the event cursor that it began at."""

    error: OstlerError | None
    result: OperationResult | None
    seconds: float
    cursor: int

    def problems(self, expect: StepExpectation) -> Iterator[tuple[str, str]]:
        """Yield (key, what is wrong) for what `expect` says of the ending itself."""
        error, result = self.error, self.result
        if expect.error is not None and error is None:
            yield "error", "expected an error, but it succeeded" + (f": {result.message}" if result else "")
        for text in expect.error or ():
            if error is not None and text not in str(error):
                yield "error", f"the error has no {text!r}: {error}"
        for text in expect.message or ():
            if result is None:
                yield "message", "this step has no message"
            elif text not in result.message:
                yield "message", f"the message has no {text!r}: {result.message}"
        if expect.within is not None and self.seconds > expect.within:
            took = format_duration(round(self.seconds, 3))
            yield "within", f"it took {took}, longer than {format_duration(expect.within)}"
