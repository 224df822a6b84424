"""Restart policies whose settings contradict each other or change nothing."""

from collections.abc import Iterator

from ostler.model.durations import LONGEST, format_duration
from ostler.model.json import KeyPath
from ostler.model.manifest import ServiceClass
from ostler.model.policies import RestartPolicySpec
from ostler.rules.text.findings import Violation

POLICY: KeyPath = ("spec", "serviceConfig", "restartPolicy")
BACKOFF: KeyPath = (*POLICY, "backoff")


def check_restart_policy(service_class: ServiceClass) -> Iterator[Violation]:
    """Yield what has no effect in the restart policy of `service_class`."""
    policy = service_class.config.restart_policy
    if policy is None:
        return
    if policy.policy == "never":
        for field, key in _KEYS:
            if field in policy.model_fields_set:
                message = f"{key!r} has no effect with the policy 'never'"
                fix = "write 'policy: on-failure' or 'policy: always', or remove it"
                yield Violation((*POLICY, key), "no-effect", message, fix, at_key=True)
        return
    yield from _check_backoff(policy)
    yield from _check_window(policy)
    tools = service_class.tools
    if not service_class.looks_after_start and policy.policy == "always" and tools.find is None:
        message = "'always' does no more than 'on-failure' here: no tool can find the service stopped"
        fix = "add lifecycleTools.status, or write 'on-failure'"
        yield Violation(POLICY, "no-effect", message, fix, at_key=True)
    elif not service_class.looks_after_start or not service_class.config.health.enabled:
        message = "the restart policy only sees failed starts: nothing checks a running service"
        fix = "add lifecycleTools.healthCheck or status (and let healthCheck be enabled), or remove the policy"
        yield Violation(POLICY, "weak-policy", message, fix, at_key=True)


_KEYS = (
    ("backoff", "backoff"),
    ("max_restarts", "maxRestarts"),
    ("window", "window"),
    ("reset_after", "resetAfter"),
)


def _check_backoff(policy: RestartPolicySpec) -> Iterator[Violation]:
    backoff, written = policy.backoff, policy.backoff.model_fields_set
    if backoff.initial > backoff.max:
        yield Violation(
            BACKOFF,
            "bad-value",
            "'initial' is longer than 'max'",
            f"write 'max: {format_duration(backoff.initial)}' or more",
        )
        return
    useless: dict[str, str] = {}
    if backoff.initial == 0:
        useless = dict.fromkeys(("max", "multiplier", "jitter"), "with 'initial: 0s' there is no pause")
    elif policy.max_restarts == 1:
        useless = dict.fromkeys(("max", "multiplier"), "with 'maxRestarts: 1' there is only the first pause")
    elif backoff.initial == backoff.max and {"initial", "max"} <= written:
        useless = {"multiplier": "'initial' is as long as 'max' already"}
    elif backoff.multiplier == 1:
        useless = {"max": "with 'multiplier: 1' every pause is as long as 'initial'"}
    for key, why in useless.items():
        if key in written:
            yield Violation((*BACKOFF, key), "no-effect", f"{key!r} has no effect: {why}", "remove it", at_key=True)


def _check_window(policy: RestartPolicySpec) -> Iterator[Violation]:
    written = policy.model_fields_set
    needed = policy.shortest_loop()
    if needed > policy.window and written & {"max_restarts", "window"}:
        key = "maxRestarts" if "max_restarts" in written else "window"
        message = (
            f"{policy.max_restarts} restarts can never happen within {format_duration(policy.window)}: their pauses "
            f"alone take {format_duration(round(needed, 1))}, so that the service would be restarted forever"
        )
        longer = min(float(round(needed * 2)), LONGEST)
        fix = f"write 'window: {format_duration(longer)}' or so, or shorter pauses"
        if needed > LONGEST:
            fix = "write fewer restarts, or shorter pauses"
        yield Violation((*POLICY, key), "no-effect", message, fix, at_key=True)
    if policy.reset_after is not None and policy.reset_after >= policy.window:
        message = "'resetAfter' has no effect: restarts are forgotten after 'window' anyway"
        fix = f"write less than {format_duration(policy.window)}, or remove it"
        yield Violation((*POLICY, "resetAfter"), "no-effect", message, fix, at_key=True)
