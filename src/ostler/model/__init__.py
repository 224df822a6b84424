"""Layer 1, the model: states, manifests, records, events and errors. Pure values, no I/O."""
