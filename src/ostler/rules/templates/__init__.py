"""Jinja2 in a sandbox: compiling, rendering, the names that a template needs.

Which names a manifest may use where belongs to `checking`.
"""
