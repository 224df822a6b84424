"""`ostler top`: all services live in a terminal.

`board` is the data, `words` its texts, `feed` the connection, and `view` the program, over textual.
"""
