"""Jinja2 in a sandbox: compiling, rendering, the names that a template needs."""
