"""What keeps an HTTP address from being served; apart from what serves it, which most servers never load."""


class HttpSettingsError(Exception):
    """The HTTP address cannot be served as asked; the text says what to change."""
