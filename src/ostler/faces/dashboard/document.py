"""The page: its parts in one document that loads nothing, with a policy that lets nothing but these parts run."""

import base64
import hashlib
from functools import lru_cache
from importlib.resources import files
from typing import Final

from msgspec import Struct

LIBRARIES: Final = ("vendor/preact.js", "vendor/preact-hooks.js", "vendor/htm.js")

SCRIPTS: Final = (
    "words.js",
    "connection.js",
    "http.js",
    "host.js",
    "store.js",
    "actions.js",
    "services.js",
    "logs.js",
    "detail.js",
    "graph.js",
    "timeline.js",
    "main.js",
)
"""Parts of one script, in order: each sees what those before it declare."""

_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}


class Page(Struct, frozen=True):
    """The document, and the headers that it is served with over HTTP."""

    html: str
    headers: dict[str, str]


@lru_cache(maxsize=1)
def page() -> Page:
    """Return the page. The parts are put together once; there is nothing of any user in it."""
    libraries = "".join(_script(name) for name in LIBRARIES)
    script = "".join(_script(name) for name in SCRIPTS)
    style = _text("style.css")
    html = (
        _text("page.html")
        .replace("{{style}}", style, 1)
        .replace("{{libraries}}", libraries, 1)
        .replace("{{script}}", script, 1)
    )
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(libraries)} {_hash(script)}",
            f"style-src {_hash(style)}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )
    tag = f'"{hashlib.sha256(html.encode()).hexdigest()[:32]}"'
    return Page(html, {"content-security-policy": policy, "etag": tag, **_HEADERS})


def _text(name: str) -> str:
    return files("ostler.faces.dashboard").joinpath("static", name).read_text(encoding="utf-8")


def _script(name: str) -> str:
    text = _text(name)
    assert "</script" not in text.lower(), f"{name} would end its element"
    # The map of a library is not served.
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("//# sourceMappingURL="))


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
