"""Answers that change nothing: what an operation would do, and why a service is as it is."""
