"""``python -m benchmarks``: train the workloads in gradloom and in every peer that is installed, and compare.

Prints a table for each workload as it is done, and writes ``benchmarks/results/<name>.json``, ``.md`` and ``.png``.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from . import machine, report
from .driver import Options, run_workload
from .figures import summarise
from .systems import SYSTEMS
from .workloads import WORKLOADS


def chosen(text: str, offered: dict, what: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    unknown = [name for name in names if name not in offered]
    if unknown:
        raise SystemExit(f"{what} {', '.join(unknown)} is unknown; choose from {', '.join(offered)}")
    return names


def arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--workloads", metavar="W1,W2", default=",".join(WORKLOADS))
    parser.add_argument("--systems", metavar="gradloom,torch", default=",".join(SYSTEMS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.4, help="of one measurement of one system")
    parser.add_argument(
        "--threads",
        type=int,
        default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    )
    parser.add_argument("--data", metavar="FILE.npz", help="images (n, 28, 28) and labels, for W2, W2b, W3 and W5")
    parser.add_argument(
        "--python", metavar="SYSTEM=PATH", action="append", default=[], help="run a system by another interpreter"
    )
    parser.add_argument("--name", default="training", help="of the files of results")
    parser.add_argument("--results", metavar="FOLDER", default=str(Path(__file__).parent / "results"))
    parser.add_argument("--quick", action="store_true", help="two short rounds: whether it works, not how fast")
    return parser.parse_args(given)


def versions(results: list[dict]) -> dict[str, str]:
    rows = [pair for result in results for pair in result["systems"].items()]
    return {SYSTEMS[name].library: row["version"] for name, row in rows if "version" in row}


def main(given: list[str] | None = None) -> int:
    options = arguments(given)
    if options.quick:
        options.rounds, options.seconds = 2, 0.02
    asked = Options(
        workloads=chosen(options.workloads, WORKLOADS, "workload"),
        systems=chosen(options.systems, SYSTEMS, "system"),
        rounds=options.rounds,
        seconds=options.seconds,
        threads=options.threads,
        images=options.data and str(Path(options.data).absolute()),
        pythons={
            name: str(Path(path).absolute()) for name, _, path in (text.partition("=") for text in options.python)
        },
    )
    chosen(",".join(asked.pythons), SYSTEMS, "system")
    pause = 0.02 if options.quick else 0.4
    setting = {**machine.description(), "name": options.name, "threads": asked.threads, "rounds": asked.rounds}
    setting |= {"seconds": asked.seconds, "data": Path(options.data).name if options.data else "random numbers"}
    limits, results, written = machine.limits(asked.threads, seconds=pause), [], []
    for name in asked.workloads:
        results.append(run_workload(name, asked, say=lambda text: print(text, file=sys.stderr, flush=True)))
        # The best of all times: the machine may be busy at one of them.
        again = machine.limits(asked.threads, seconds=pause)
        limits = {n: {key: max(value, again[n][key]) for key, value in limit.items()} for n, limit in limits.items()}
        results = [summarise(result, limits) for result in results]
        print(report.workload_text(results[-1]), flush=True)
        run = {"setting": setting, "machine": limits, "versions": versions(results), "results": results}
        written = report.write(run, Path(options.results))  # as far as it is, should it be ended
    print(report.summary(results))
    for path in written:
        print(f"wrote {path}")
    wrong = [
        r for r in results if "disagrees" in r["gradients"] or any("disagrees" in s for s in r["systems"].values())
    ]
    if wrong:
        print("systems do not agree on " + ", ".join(result["workload"] for result in wrong), file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
