"""Reads answered by servers that stand by: what the holder of the database sends them, and what they answer from it."""
