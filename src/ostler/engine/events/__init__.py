"""The event log: ordered facts with a cursor, and the history of one service.

What a service is does not belong here.
"""
