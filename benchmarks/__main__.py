"""`python -m benchmarks [latency|startup|graph|health|all]`: print figures beside a baseline from the same run."""

import argparse

from benchmarks import graph, health, latency, startup


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", nargs="?", default="all", choices=["latency", "startup", "graph", "health", "all"])
    parser.add_argument("--rounds", type=int, default=300, help="starts and stops to time")
    parser.add_argument("--services", type=int, default=1000, help="services to create for the memory figure")
    parser.add_argument("--supervised", type=int, default=10_000, help="services whose health is checked")
    parser.add_argument("--interval", type=float, default=10.0, help="seconds from one check of a service to the next")
    options = parser.parse_args()
    if options.what in ("latency", "all"):
        latency.main(options.rounds)
    if options.what in ("startup", "all"):
        startup.main(options.services)
    if options.what in ("graph", "all"):
        graph.main()
    if options.what in ("health", "all"):
        health.main(options.supervised, options.interval)


if __name__ == "__main__":
    main()
