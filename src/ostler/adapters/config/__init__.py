"""The files of the configuration folder: found, read, watched, and edited when a person asks.

What the text of a manifest means belongs to the rules.
"""
