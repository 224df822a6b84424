"""Layer 4, the adapters: what connects the engine to servers, processes, disks and clusters.

What clients and people see belongs to the faces.
"""
