"""What runs without a request: health checks, leases, restarts, recovery after a crash.

How one service is started, checked or stopped belongs to `instances`.
"""
