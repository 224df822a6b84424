"""Static services of Kubernetes: port forwards and connections. Their library is an extra, imported when needed.

Nothing here imports from `downstream`.
"""
