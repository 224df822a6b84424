"""The person's browser: whether there is one, and opening an address in it."""

import os
import sys


def open_browser(url: str) -> bool:
    """Open `url` in the browser and return whether that began; where there is no screen, nothing is tried."""
    import webbrowser

    return has_browser() and webbrowser.open(url)


def has_browser() -> bool:
    """Whether a browser can be shown: without a screen, one in the terminal would take the command's place."""
    has_screen = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform != "linux")
    return has_screen or bool(os.environ.get("BROWSER"))
