"""What can be known to be wrong before anything runs, also against the schemas of tools.

A check yields violations; where they stand and how serious they are, `text` adds.
"""
