"""Exact tool calls from a class and values, rendered now or forecast. Nothing is called here."""
