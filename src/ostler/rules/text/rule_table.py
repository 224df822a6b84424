"""Every rule that a manifest is checked against: its id, severity and meaning. docs/rules.md explains each."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from msgspec import Struct

Severity: TypeAlias = Literal["error", "warning"]
Stage: TypeAlias = Literal["text", "manifest", "tools"]


class Rule(Struct, frozen=True):
    """One rule.

    Attributes:
        id: what findings carry.
        summary: what it says, in one line.
        severity: `error`: the class does not load, or this part can never work; `warning`: it need not fail.
        stage: `text` and `manifest` rules are checked whenever a class is loaded, `tools` rules by `ostler check`.
    """

    id: str
    summary: str
    severity: Severity = "error"
    stage: Stage = "manifest"

    def severity_of(self, *, is_certain: bool) -> Severity:
        """Return how serious a violation is: one that need not fail in every case is a warning."""
        return self.severity if is_certain else "warning"


_RULES = (
    Rule("yaml-syntax", "the text is YAML (or JSON)", stage="text"),
    Rule("duplicate-key", "no key occurs twice in one mapping", stage="text"),
    Rule("too-large", "a text, a list or a nesting stays within the limits", stage="text"),
    Rule("unreadable", "the file can be read", stage="text"),
    Rule("encoding", "the file is UTF-8 text", stage="text"),
    Rule("unknown-version", "the apiVersion is one that this version of Ostler reads"),
    Rule("unknown-kind", "the kind is ServiceClass"),
    Rule("unknown-key", "every key is one of the manifest's"),
    Rule("missing-key", "every required key is present"),
    Rule("bad-type", "every setting has the type that it must have"),
    Rule("bad-value", "every setting has a possible value"),
    Rule("bad-duration", "durations are written like 30s, 2m or 1h30m"),
    Rule("bad-name", "names are RFC 1123 labels"),
    Rule("bad-tool", "tools are written server/tool"),
    Rule("bad-jmespath", "paths are JMESPath"),
    Rule("bad-regex", "regular expressions compile, and have one group that is the value"),
    Rule("duplicate-name", "no class occurs twice in a file"),
    Rule("duplicate-class", "no class is defined in two files of a folder"),
    Rule("shadowed-class", "a user's class replaces a shipped one", "warning"),
    Rule("template-syntax", "templates are Jinja2, with filters and tests that exist"),
    Rule("unknown-name", "templates use only names that exist at that step"),
    Rule("maybe-undefined", "an arg that may be left out has a default where it is used", "warning"),
    Rule("shadowed-name", "an arg is not named like something that templates know already", "warning"),
    Rule("weak-policy", "a restart policy has something that checks the running service", "warning"),
    Rule("class-cycle", "classes do not create each other in a circle"),
    Rule("muster-template", "a template of muster's form can be translated", "warning"),
    Rule("muster-tool", "a tool name of muster's form can be matched to a server and its tool", "warning"),
    Rule("no-effect", "every setting has an effect together with the others"),
    Rule("unknown-server", "the server of a tool is configured, or its tools list is saved", stage="tools"),
    Rule("unknown-tool", "the server has the tool", stage="tools"),
    Rule("unchecked-tool", "the server's tools are known, so that the call can be checked", "warning", stage="tools"),
    Rule("unknown-arg", "the tool takes the argument", stage="tools"),
    Rule("missing-arg", "every argument that the tool requires is given", stage="tools"),
    Rule("arg-type", "an argument has a type that the tool takes", stage="tools"),
    Rule("arg-value", "an argument has a value that the tool takes", stage="tools"),
    Rule("template-type", "operators and filters of a template work on the types that they get", stage="tools"),
    Rule("unknown-path", "the tool's answer can have what a path selects", stage="tools"),
    Rule("output-type", "an output can have its type, and the same type in every step", stage="tools"),
    Rule("regex-group", "the group of a regular expression is named like its output", "warning", stage="tools"),
    Rule("unseen-answer", "some recorded answer is like what a class looks for", "warning", stage="tools"),
    Rule("never-true", "an expectation or a comparison can come out either way", stage="tools"),
    Rule("wrong-effect", "what starts or stops acts, and what checks does not destroy", "warning", stage="tools"),
    Rule("names-none", "a stop, restart, status or find says which service it means", "warning", stage="tools"),
    Rule("unknown-class", "the class of a dependency exists", stage="tools"),
    Rule("dependency-cycle", "classes do not depend on each other in a circle", stage="tools"),
    Rule("timeout-conflict", "durations do not contradict each other", "warning", stage="tools"),
    Rule("unused-arg", "every arg is used", "warning", stage="tools"),
    Rule("unused-output", "every output of a step is used", "warning", stage="tools"),
    Rule("find-incomplete", "find gives the outputs of start that a stop needs", "warning", stage="tools"),
    Rule("half-template", "what ends like a template begins like one", "warning", stage="tools"),
    Rule("stray-quote", "a quote has its other", "warning", stage="tools"),
    Rule("near-miss", "a word of few possible ones is not one letter off", "warning", stage="tools"),
    Rule("swallowed-line", "a list item or key is not taken for the text of the line before", "warning", stage="tools"),
    Rule("unjudged-start", "a start tool that answers in text is judged by something", "warning", stage="tools"),
    Rule("rewritten-number", "a number that is meant as a text is in quotes", "warning", stage="tools"),
)

RULES: Mapping[str, Rule] = {rule.id: rule for rule in _RULES}
"""By id, in the order of the page."""
