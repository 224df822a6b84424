"""What a trial of a class found: its steps, what to change in the class, and the test that it recorded."""

from typing import Literal, TypeAlias

from msgspec import Struct

from ostler.model.json import JsonObject

Verdict: TypeAlias = Literal["ok", "failed", "skipped"]


class TrialStep(Struct, frozen=True):
    """One step of a life.

    Attributes:
        name: `created`, `ready`, `healthy`, `looked at`, `killed`, `recovered`, `restarted`, `stopped`, `gone`.
        verdict: how it went; what could not be tried is skipped.
        text: what was seen, in words.
        seconds: how long it took.
    """

    name: str
    verdict: Verdict
    text: str
    seconds: float = 0.0


class Advice(Struct, frozen=True):
    """Something to change in a class.

    Attributes:
        problem: what is wrong, as it was seen.
        path: the key that it is about, such as `spec.serviceConfig.lifecycleTools.status`.
        line: the line of the manifest where that stands, or would belong; 0 when it is not known.
        lines: what to write there, as YAML; empty when only a person can know.
    """

    problem: str
    path: str
    line: int = 0
    lines: tuple[str, ...] = ()


class TrialReport(Struct, frozen=True):
    """One trial.

    Attributes:
        class_name: the class.
        service: the name that its service had.
        steps: what was done, in order.
        advice: what to change.
        left: what could not be removed, in words.
        test: the recorded file of class tests; empty when the class has to change first.
    """

    class_name: str
    service: str
    steps: tuple[TrialStep, ...]
    advice: tuple[Advice, ...]
    left: tuple[str, ...] = ()
    test: str = ""

    @property
    def passed(self) -> bool:
        """Whether the class is right, as far as it could be tried."""
        return not self.advice and not self.left and all(step.verdict != "failed" for step in self.steps)

    def facts(self) -> JsonObject:
        """Return it for programs."""
        return {
            "serviceClass": self.class_name,
            "service": self.service,
            "passed": self.passed,
            "steps": [
                {"name": step.name, "verdict": step.verdict, "text": step.text, "seconds": round(step.seconds, 3)}
                for step in self.steps
            ],
            "advice": [
                {"problem": each.problem, "path": each.path, "line": each.line, "lines": list(each.lines)}
                for each in self.advice
            ],
            "left": list(self.left),
            "test": self.test,
        }
