"""Real agent frameworks over a real server."""
