"""How the optional parts of Ostler are installed."""


def how_to_install(extra: str) -> str:
    """Return the commands that install an extra; in a checkout, because Ostler is in no package index yet."""
    return f"in Ostler's checkout, pip install '.[{extra}]', or with uv: uv tool install '.[{extra}]'"
