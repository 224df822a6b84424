"""What acts without a request: health checks, leases, restarts, recovery after a crash."""
