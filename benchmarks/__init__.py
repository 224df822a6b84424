"""Figures, not assertions: each command prints what it measured next to a baseline from the same run."""
