"""Layer 3, the engine: registry, instances, manager, health, journal and events. No MCP, no SQL.

The world is reached through `protocols`; what implements them belongs to the adapters.
"""
