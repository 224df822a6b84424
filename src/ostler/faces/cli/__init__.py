"""The command line: every verb asks the one server of the state folder, and starts it when there is none.

Exit statuses: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 the server cannot be reached or started.
"""
