"""Answers that change nothing: what an operation would do, and why a service is as it is.

How that is put into words for people belongs to the faces.
"""
