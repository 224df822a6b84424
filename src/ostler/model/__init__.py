"""Layer 1, the model: states, manifests, records, events and errors. Pure values.

Functions over several of them belong to the rules; nothing here reads, waits or logs.
"""
