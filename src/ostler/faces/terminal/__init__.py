"""`ostler top`: all services live in a terminal.

`board` is what is known, `words` how it is said, `feed` the connection; the rest is textual's: `view` is the program.
"""
