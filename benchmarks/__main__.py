"""`python -m benchmarks [NAME]`: print figures next to a baseline from the same run."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.warden import guarded

from benchmarks import (
    calls,
    check,
    checks,
    crash,
    cycles,
    dashboard,
    drafts,
    drafts_live,
    failover,
    followers,
    fuzz,
    graph,
    health,
    latency,
    memory,
    notifications,
    reads,
    recovery,
    replicas,
    scale,
    screenshots,
    simulate,
    startup,
    store,
    telemetry,
    truth,
    wire,
)
from benchmarks.agents import command as agents
from benchmarks.clients import command as clients
from benchmarks.frameworks import command as frameworks
from benchmarks.programs import command as programs
from benchmarks.stacks import command as stacks
from benchmarks.stacks import supervisors

if TYPE_CHECKING:
    from collections.abc import Callable

SHORT = {
    "latency": "start and stop",
    "calls": "a downstream tool directly and through the pool, 1 and 32 at once",
    "startup": "cold start and memory",
    "memory": "of a service with as many events as are kept",
    "notifications": "of a changed service, in both protocol eras, and to 200 subscribers",
    "graph": "a parallel start",
    "health": "many checks",
    "recovery": "after kill -9",
    "store": "durable commits and idempotency keys",
    "check": "mistakes put into the shipped classes",
    "telemetry": "what traces and metrics cost, also next to other checkouts",
    "drafts": "classes drafted from real servers' tools lists",
}
LONG = {
    "simulate": "every crash there is, simulated",
    "crash": "everything goes wrong in real servers",
    "failover": "several servers over one PostgreSQL, of which the working one fails",
    "replicas": "one, two and three servers over one PostgreSQL, beside one over its file",
    "followers": "what many services cost the server that works and those that follow it",
    "checks": "health checks with one, two and three servers over one PostgreSQL, while others are paused and killed",
    "reads": "what several servers answer after each change, while they fail",
    "scale": "what each query costs over a million services, and what breaks first",
    "cycles": "reconnections",
    "fuzz": "hostile manifests, project files and arguments",
    "dashboard": "how soon the page shows a change, and how 2,000 services feel (needs Chromium)",
    "screenshots": "of the dashboard, into .screenshots, to be looked at (needs Chromium)",
    "truth": "what is said of services while they end",
    "wire": "calls over HTTP and stdio, of any number of builds side by side",
    "programs": "real programs as services",
    "clients": "real client libraries and the conformance suite",
    "drafts-fit": "the weights by which drafts choose a pair, fitted again to the labelled lists",
    "drafts-live": "classes drafted from real MCP servers, each tried over one life as it was drafted",
    "agents": "real coding agents, with a model endpoint of our own",
    "frameworks": "real agent frameworks, with the same",
    "stacks": "projects of several services, in two worktrees",
    "supervisors": "a project under other supervisors",
}
"""Commands that take minutes to hours; `all` leaves them out."""


def main() -> int:
    """Run what was asked for; return the exit status, 1 where a command that looks for faults found some."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    words = "; ".join(f"{name}: {meaning}" for name, meaning in {**SHORT, **LONG}.items())
    parser.add_argument("what", nargs="?", default="all", choices=["all", *SHORT, *LONG], help=words)
    parser.add_argument("servers", nargs="*", help="label=CHECKOUT or label=URL, of those to compare (wire, telemetry)")
    parser.add_argument("--rounds", type=int, default=0, help="how often; each command has its own number")
    parser.add_argument(
        "--services", type=int, default=0, help="to create (startup, memory, recovery) or fill in (scale, followers)"
    )
    parser.add_argument("--supervised", type=int, default=10_000, help="services whose health is checked (health)")
    parser.add_argument("--checking", type=int, default=4, help="stdio servers that share the checks (health)")
    parser.add_argument("--calls", type=int, default=200, help="calls a round (wire)")
    parser.add_argument("--interval", type=float, default=10.0, help="seconds from one check of a service to the next")
    parser.add_argument("--seed", type=int, default=1, help="of what is random (crash, simulate, failover, reads)")
    parser.add_argument("--jobs", type=int, default=1, help="chunks of rounds at once (crash, failover)")
    parser.add_argument("--skewed", action="store_true", help="servers whose clocks differ by hours (failover)")
    parser.add_argument("--again", default="", help="CHUNK.ROUND: play that round, --rounds times (crash)")
    parser.add_argument("--states", default="", help="NAME=STATE,…: the services that it begins with (crash)")
    parser.add_argument("--seeds", type=int, default=1, help="how often mistakes are put into the classes (check)")
    parser.add_argument("--twice", action="store_true", help="die once more at each point of each recovery (simulate)")
    parser.add_argument(
        "--only",
        default="",
        help="what has this in its name: cells (truth), programs, stacks, clients, agents, frameworks, servers",
    )
    parser.add_argument(
        "--tools",
        type=Path,
        default=Path(".programs"),
        help="folder of the programs (programs, stacks, clients, agents, frameworks)",
    )
    parser.add_argument(
        "--install",
        action="store_true",
        help="fill that folder first, from registries (programs, stacks, clients, agents, frameworks)",
    )
    parser.add_argument("--verify", action="store_true", help="run the libraries alone and write no tables (clients)")
    options = parser.parse_intermixed_args()
    with guarded():
        return max(_run(name, options) for name in (SHORT if options.what == "all" else [options.what]))


def _run(name: str, options: argparse.Namespace) -> int:
    rounds = options.rounds
    runs: dict[str, Callable[[], object]] = {
        "latency": lambda: latency.main(rounds or 300),
        "calls": lambda: calls.main(rounds or 3000),
        "notifications": lambda: notifications.main(rounds or 300),
        "startup": lambda: startup.main(options.services or 1000),
        "memory": lambda: memory.main(options.services or 5000),
        "graph": graph.main,
        "drafts": drafts.main,
        "health": lambda: health.main(options.supervised, options.interval, options.checking),
        "store": lambda: store.main(rounds or 3000),
        "check": lambda: check.main(options.seeds),
        "telemetry": lambda: telemetry.main(options.servers, rounds or telemetry.ROUNDS),
        "recovery": lambda: recovery.main(options.services or 1000, rounds or 3),
        "simulate": lambda: (
            simulate.besiege(rounds, options.seed, options.only) if rounds else simulate.main(twice=options.twice)
        ),
        "failover": lambda: failover.main(rounds or 100, options.seed, options.jobs, skewed=options.skewed),
        "replicas": lambda: replicas.main(rounds or 5),
        "followers": lambda: followers.main(options.services or 10_000, rounds or 60),
        "checks": lambda: checks.main(options.supervised, options.interval),
        "reads": lambda: reads.main(rounds or 120, options.seed),
        "scale": lambda: scale.main(options.services or 1_000_000),
        "crash": lambda: (
            crash.play_again(options.again, options.states, rounds or 20, options.seed)
            if options.again
            else crash.main(rounds or 2000, options.seed, options.jobs)
        ),
        "fuzz": lambda: fuzz.main(rounds or 2000, options.seed),
        "cycles": lambda: cycles.main(rounds or 10_000),
        "dashboard": lambda: dashboard.main(rounds or 50),
        "screenshots": screenshots.main,
        "truth": lambda: truth.main(options.only),
        "wire": lambda: wire.main(options.servers, min(options.services or 1000, 2000), rounds or 3, options.calls),
        "agents": lambda: agents.main(options.tools, only=options.only, install_first=options.install),
        "frameworks": lambda: frameworks.main(options.tools, only=options.only, install_first=options.install),
        "clients": lambda: clients.main(
            options.tools, only=options.only, install_first=options.install, verify=options.verify
        ),
        "programs": lambda: programs.main(options.tools.absolute(), only=options.only, install_first=options.install),
        "drafts-fit": _fit_drafts,
        "drafts-live": lambda: drafts_live.main(
            options.tools.absolute(), only=options.only, install_first=options.install
        ),
        "supervisors": lambda: supervisors.main(options.tools.absolute(), only=options.only, rounds=rounds or 3),
        "stacks": lambda: stacks.main(options.tools.absolute(), only=options.only, install_first=options.install),
    }
    return int(bool(runs[name]()))


def _fit_drafts() -> None:
    from benchmarks import drafts_fit  # which needs numpy

    drafts_fit.main()


if __name__ == "__main__":
    sys.exit(main())
