"""Services in relation: the graph, waiting for a dependency, the order of many.

Starting and stopping one service belongs to `instances`.
"""
