"""A call of each tool that clients use every day, in an order in which they all succeed over the ledger."""

from typing import Any

EVERY_DAY_CALLS: dict[str, dict[str, Any]] = {
    "service_create": {"serviceClassName": "basic", "name": "one"},
    "service_list": {},
    "service_status": {"name": "one"},
    "service_get": {"name": "one"},
    "service_secrets": {"name": "one"},
    "service_validate": {"serviceClassName": "basic"},
    "service_events": {},
    "service_plan": {"serviceClassName": "basic"},
    "service_logs": {"name": "one"},
    "service_explain": {"name": "one"},
    "service_wait": {"name": "one", "state": ["running"]},
    "service_start": {"name": "one"},
    "service_restart": {"name": "one"},
    "service_renew": {"name": "one", "lease": "2h"},
    "service_stop": {"name": "one"},
    "service_delete": {"name": "one"},
    "serviceclass_list": {},
    "serviceclass_get": {"name": "basic"},
    "serviceclass_available": {"name": "basic"},
    "mcpserver_list": {},
    "mcpserver_get": {"name": "w"},
    "tool_list": {},
    "tool_describe": {"name": "w/status"},
    "tool_call": {"name": "w/status", "args": {"name": "one"}},
    "config_get": {},
}
