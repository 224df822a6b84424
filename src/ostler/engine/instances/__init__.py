"""One service made from a class: its record and status, its operations, and the calls that they make.

Nothing here knows another service.
"""
