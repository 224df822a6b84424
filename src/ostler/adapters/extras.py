"""How the optional parts of Ostler are installed."""


def how_to_install(extra: str) -> str:
    """Return the commands that install an extra: in a checkout, since Ostler is in no index of packages yet."""
    return f"in Ostler's checkout, pip install '.[{extra}]', or with uv: uv tool install '.[{extra}]'"
