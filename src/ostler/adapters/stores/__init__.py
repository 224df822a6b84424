"""Stores: durable memory for services, operations and events (memory for tests, SQLite for servers)."""
