"""Reads answered by standby servers: what the holder of the database sends them, and their answers from it."""
