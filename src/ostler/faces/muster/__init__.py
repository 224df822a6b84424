"""The toolset `muster`: the tools that muster publishes, answered by Ostler, for clients that were written against it.

How its manifests are read belongs in `rules.muster`; Ostler's own tools are in `faces.mcp`.
"""
