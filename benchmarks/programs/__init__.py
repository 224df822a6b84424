"""Real programs as services: each started, killed, started again, restarted, refused a taken port, and stopped."""
