"""Manifests of every form that is known: loaded, and checked as text."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from ostler.model.errors import ManifestError
from ostler.model.manifest import ServiceClass
from ostler.model.tool_names import ToolNames
from ostler.rules.checking.loaded_class import LoadedClass
from ostler.rules.checking.tool_lists import KnownTools
from ostler.rules.loading import manifests
from ostler.rules.loading.manifest_formats import Formats
from ostler.rules.muster.muster_format import MUSTER

if TYPE_CHECKING:
    from ostler.rules.checking.class_check import CheckResult

FORMATS: Final = Formats(MUSTER)
"""The forms that are read besides ostler/v1. Add another one here, and it is read everywhere."""


def load_manifests(
    text: str, file: str = "<text>", *, known: ToolNames | None = None, checked: bool = False
) -> list[LoadedClass]:
    """Return the classes in `text`, one or several YAML documents or a JSON object.

    Args:
        text: the manifests, of `ostler/v1` or of one of the other forms, as muster's `muster.giantswarm.io/v1alpha1`.
        file: the path that findings carry.
        known: the downstream servers and tools, by which muster's tool names are told apart.
        checked: the very same text was loaded before without a finding, so it is not checked again.

    Raises:
        ManifestError: with the findings of all documents: syntax, unknown and missing keys, wrong types and
            values, templates that do not parse or name something undefined, expressions that do not compile, and
            settings without effect. Each has file, line, column, a rule id and, where known, a fix.
    """
    return manifests.load_manifests(text, file, known=known, formats=FORMATS, checked=checked)


def check_text(
    text: str,
    file: str,
    tools: KnownTools,
    classes: Mapping[str, ServiceClass] | None = None,
    known: ToolNames | None = None,
) -> "CheckResult":
    """Check the manifests in `text`: what keeps them from being loaded, else all that is wrong with them.

    Args:
        text: the manifests.
        file: the path that findings carry.
        tools: what is known about downstream servers.
        classes: every class that there is, for dependencies.
        known: the servers and tools by which manifests of other forms are read; by default those of `tools`.
    """
    from ostler.rules.checking.class_check import CheckResult, check_all  # noqa: PLC0415 (what only loads, starts faster)

    try:
        loaded = load_manifests(text, file, known=known or tools.names)
    except ManifestError as error:
        return CheckResult(tuple(error.findings), ())
    return check_all(loaded, tools, classes)
