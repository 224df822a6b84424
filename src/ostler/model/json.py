"""Named aliases for JSON, the only place where values have no narrower type."""

from collections.abc import Mapping
from typing import Any, TypeAlias

JsonValue: TypeAlias = Any
"""Any JSON value: object, array, string, number, boolean or null."""

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object."""

JsonMapping: TypeAlias = Mapping[str, Any]
"""A JSON object that is only read."""
