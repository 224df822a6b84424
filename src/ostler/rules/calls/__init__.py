"""From a class and values to exact tool calls, rendered now or forecast. Nothing is called here."""
