"""Templates that are nothing but a name, as most are: they are read without Jinja2's parser and compiler.

`{{ name }}`, `{{ start.pid }}` and `{{ port | default(none) }}` mean what they mean to Jinja2: the same lookup in the
same sandbox, and the same filter. Compiling one takes 0.4 ms, which the first start of a service pays for each.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from ostler.rules.templates.references import Name, References
from ostler.rules.templates.sandbox import BoundedEnvironment, environment

_NAME: Final = r"[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)*"
_FORM: Final = re.compile(rf"[\r\n]*\{{\{{ ?({_NAME})(?: \| default\(({_NAME})\))? ?\}}\}}[\r\n]*")

_OF_JINJA: Final = frozenset(
    {"true", "false", "none", "True", "False", "None", "and", "or", "not", "in", "is", "if", "else"}
    | {"self", "super", "loop", "caller", "varargs", "kwargs"}
)
"""What begins an expression and is no plain name."""

_NULL: Final = "none"


class DottedName(Struct, frozen=True):
    """A name, and what stands for it where it is not defined.

    Attributes:
        name: its parts.
        default: the parts of what is given to `default`; `()` for null, None without a default.
    """

    name: Name
    default: Name | None = None

    @property
    def references(self) -> References:
        """The names that it requires, and those that are optional."""
        known = environment().globals
        given, default = (frozenset({name} if name and name[0] not in known else ()) for name in self._names)
        if self.default is None:
            return References(required=given, optional=frozenset())
        return References(required=default, optional=given - default)

    def value(self, names: Mapping[str, Any]) -> Any:
        """Return what it stands for among `names`, which is Jinja2's own value for what is undefined."""
        env = environment()
        found = _value(env, self.name, names)
        if self.default is None:
            return found
        default_filter: Any = env.filters["default"]
        return default_filter(found, _value(env, self.default, names) if self.default else None)

    @property
    def _names(self) -> tuple[Name, Name]:
        return self.name, self.default or ()


def dotted_name(text: str) -> DottedName | None:
    """Return the name that the template `text` is, or None if it is anything else."""
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    name, given = (tuple(part.split(".")) if part else None for part in found.groups())
    default = () if given == (_NULL,) else given
    if name is None or name[0] in _OF_JINJA or (default and default[0] in _OF_JINJA):
        return None
    return DottedName(name, default)


def _value(env: BoundedEnvironment, name: Name, names: Mapping[str, Any]) -> Any:
    root, *parts = name
    found: Any = names[root] if root in names else env.globals.get(root, env.undefined(name=root))
    for part in parts:
        found = env.getattr(found, part)
    return found
