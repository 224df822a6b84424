"""Layer 2, the rules: pure functions over the model, from the text of a file to exact tool calls and back.

Nothing here reads a disk, asks a server or knows the time.
"""
