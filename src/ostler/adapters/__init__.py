"""Layer 4, the adapters: downstream pool, built-in process server, stores, configuration and file watching."""
