"""What a caller may ask for: create, start, stop, restart, delete, and its idempotency keys.

What happens without being asked for belongs to `keepers`.
"""
