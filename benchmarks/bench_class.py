"""The class that benchmarks drive: started and stopped by the tools of one server."""

_TEXT = """
apiVersion: ostler/v1
kind: ServiceClass
metadata: {name: bench}
spec:
  serviceConfig:
    lifecycleTools:
      start: {tool: SERVER/start, args: {name: "{{ name }}"}, outputs: {id: id}}
      stop: {tool: SERVER/stop, args: {name: "{{ name }}"}}
"""


def bench_class(server: str) -> str:
    """Return the manifest, driven by `server`."""
    return _TEXT.replace("SERVER", server)
