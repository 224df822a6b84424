"""Reason codes in a service's status, except those that only one keeper uses."""

UNKNOWN_OUTCOME = "unknown-outcome"
"""Its start may have left something that no tool could find or stop."""

START_FAILED = "start-failed"
"""Its start failed, and left nothing, as far as can be known."""

START_UNSEEN = "start-unseen"
"""Its start failed, and the tool that could show whether it left something did not say; it is looked for again."""

START_LATE = "start-late"
"""Its start was given up without a usable answer, and left nothing yet; as it may still act, it is looked for again."""

UNSEEN_STARTS = (START_LATE, START_UNSEEN)
"""What a start may have left is looked for again."""

POLICY_REASON = "restart policy"
"""How the reason of a restart begins that the restart policy requests."""

IDLE = "idle"
"""No one used it, so it was stopped; reason of that stop, too."""

UNREADABLE_CLASS = "unreadable-class"
"""This version of Ostler cannot read its stored class."""

STOP_FAILED = "stop-failed"
"""Its stop tool failed, so it may still be there; where a tool can show it, it is looked for again."""

STOP_INTERRUPTED = "stop-interrupted"
"""Its stop was cancelled, so it may still be there; where a tool can show it, it is looked for again."""

LEFT_BEHIND = (STOP_FAILED, STOP_INTERRUPTED, *UNSEEN_STARTS)
"""Something may still be there, which is looked for again."""

STOP_NOT_SENT = "stop-not-sent"
"""Its stop never left, as the server that drives it is away."""

NOT_VERIFIABLE = "not-verifiable"
"""Its class has no tool that could show whether it runs."""

NO_STOP_PLAN = "no-stop-plan"
"""It runs, and its stop tool needs what a crash lost: `service_start` with `adopt` gives it."""

DRIVER_UNREACHABLE = "driver-unreachable"
"""The server that drives it cannot be asked."""

NOT_VERIFIED = "not-verified"
"""Its driving server was asked whether it exists, and did not say; it is asked again."""

GONE = "gone"
"""It ran and is not there any more, and no one stopped it."""

CRASH_LOOP = "crash-loop"
"""It failed as often as its restart policy allows."""

HAS_FAILED = frozenset({GONE, CRASH_LOOP})
"""Reasons of what ran and failed on its own: it stays failed over a restart of Ostler, unless it is seen running."""
