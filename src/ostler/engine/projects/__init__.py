"""The services of one project together: up, down, and what differs from its file.

Reading the file and finding its folder belong to the adapters.
"""
