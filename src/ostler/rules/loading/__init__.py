"""Loads classes, projects, static services and class tests from the text of files, with all findings.

Files are found and read in the adapters; what other forms mean belongs to a folder of theirs (`muster`).
"""
