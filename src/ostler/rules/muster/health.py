"""Health checks and timeouts of a muster manifest: when muster checked, and what its documentation shows."""

import re

from ostler.model.json import JsonMapping, JsonObject, JsonValue, KeyPath
from ostler.rules.checking.names import CONFIG, TOOLS
from ostler.rules.muster.sheet import Sheet, has_template, is_mapping, mapping

_CALL_KEYS = ("tool", "args", "outputs", "expect", "expectNot", "expect_not")
"""What belongs to the health check's tool when it is written under `healthCheck`, as the documentation does."""

_DURATIONS = ("create", "delete", "restart", "healthCheck", "interval", "timeout", "initialDelay")
_NUMBERS = ("failureThreshold", "successThreshold")
_TINY = re.compile(r"(\d+)(ns|us|µs)")
_SHORTEST = 0.001
"""Seconds: shorter durations are none in Ostler."""

_PATH: KeyPath = (*CONFIG, "healthCheck")


def translate_health(sheet: Sheet, config: JsonObject, tools: JsonObject) -> None:
    """Move the health check's tool to the other tools, and have health checked only when muster would have."""
    found = config.get("healthCheck")
    if found is not None and not is_mapping(found):
        return
    settings = _settings(sheet, mapping(found))
    moved = {key: settings.pop(key) for key in _CALL_KEYS if key in settings}
    if moved and "healthCheck" in tools:
        message = "the tool of the health check is under lifecycleTools.healthCheck, too"
        sheet.find((*_PATH, next(iter(moved))), "bad-value", message, "keep one of them", at_key=True)
    elif moved:
        tools["healthCheck"] = moved
        sheet.origins[*TOOLS, "healthCheck"] = _PATH
    if "healthCheck" not in tools and "status" not in tools:
        _leave_out(sheet, config, settings)
        return
    if "enabled" not in settings and not moved and "healthCheck" not in tools:
        settings["enabled"] = False  # 'status' alone was never called by muster
    if settings.get("enabled") is False:
        settings = {"enabled": False}  # the rest has no effect then
        _forget_timeout(config)
    if settings:
        config["healthCheck"] = settings
    else:
        config.pop("healthCheck", None)


def translate_timeouts(sheet: Sheet, timeout: JsonMapping) -> JsonObject:
    """Return `serviceConfig.timeout` with Go's smallest units as seconds."""
    made: JsonObject = {}
    for key, value in timeout.items():
        if has_template(value):
            _no_duration(sheet, (*CONFIG, "timeout", key))
        else:
            made[key] = _duration(value)
    return made


def _settings(sheet: Sheet, found: JsonMapping) -> JsonObject:
    settings: JsonObject = dict(found)
    for key, value in found.items():
        if key in _DURATIONS and has_template(value):
            _no_duration(sheet, (*_PATH, key))
            del settings[key]
        elif key in _DURATIONS:
            settings[key] = _duration(value)
        elif key in _NUMBERS and has_template(value):
            sheet.no_template((*_PATH, key), "a threshold is one number for all services of the class")
            del settings[key]
    return settings


def _leave_out(sheet: Sheet, config: JsonObject, settings: JsonMapping) -> None:
    """Without a tool muster never checked; the settings are left out, and the author is warned."""
    if settings.get("enabled") is True:
        message = "'healthCheck' has no effect: there is no tool to check with"
        sheet.find(_PATH, "no-effect", message, "add lifecycleTools.healthCheck", at_key=True, is_certain=False)
    config.pop("healthCheck", None)
    _forget_timeout(config)


def _forget_timeout(config: JsonObject) -> None:
    if is_mapping(timeout := config.get("timeout")):
        config["timeout"] = {key: value for key, value in timeout.items() if key != "healthCheck"}


def _no_duration(sheet: Sheet, path: KeyPath) -> None:
    sheet.no_template(path, "a duration is the same for all services of the class")


def _duration(value: JsonValue) -> JsonValue:
    if isinstance(value, str) and (match := _TINY.fullmatch(value)):
        seconds = int(match[1]) * (1e-9 if match[2] == "ns" else 1e-6)
        return max(seconds, _SHORTEST) if seconds else 0
    return value
