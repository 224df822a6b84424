"""Dependencies: the graph, waiting for a dependency, the order of many services.

Starting and stopping one service belongs to `instances`.
"""
