"""Traces, metrics and logs of what the server does, by OpenTelemetry's conventions; attached from outside the engine.

`switch`, `silent` and `wanted` are all that a server without telemetry loads.
"""
