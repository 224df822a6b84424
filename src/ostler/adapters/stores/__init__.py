"""Stores: durable memory for services, operations and events (memory for tests, SQLite for servers).

What is written when is the engine's decision.
"""
