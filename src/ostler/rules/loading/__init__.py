"""From the text of a file to classes, projects, static services and class tests, with all findings.

Files are found and read in the adapters; what other forms mean belongs to a folder of theirs (`muster`).
"""
