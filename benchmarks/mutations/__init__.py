"""Mistakes that people make when they write a class, put into a class that has none, each alone."""
