"""Layer 3, the engine: registry, instances, state machine, manager, health, journal, events. No MCP, no SQL."""
