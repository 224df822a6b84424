"""Real coding agents, with a model endpoint of our own, over a real Ostler."""
