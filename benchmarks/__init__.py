"""Figures, not assertions: each command prints what it measured beside a baseline from the same run."""
