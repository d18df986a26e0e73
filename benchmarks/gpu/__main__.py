"""``python -m benchmarks.gpu``: are gradloom's kernels right on this machine's GPU, and how fast beside the others.

Meant to take less than ten minutes (`--minutes`): versions; then correctness, against float64 on the host; then
trainings and single kernels, timed in turn with PyTorch and JAX, where those are installed, by the GPU's events. Prints
as it goes, and writes ``benchmarks/results/gpu-<name>.json`` and ``.md`` after each part, so that what is done is kept.
``--dry-run`` goes through the same code with few numbers, for a machine without a GPU. ``--estimate`` prints what a GPU
should take, by reckoning.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from pathlib import Path
from typing import Any

from gradloom.runtime.cuda_device import default_device

from . import correctness, kernels, prepare, report, training
from .tasks import TASKS, in_small


def arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--minutes", type=float, default=9.5, help="after which nothing is begun (default: %(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that compile")
    parser.add_argument("--seconds", type=float, default=0.1, help="of one measurement of one system")
    parser.add_argument("--tasks", metavar="small,large", help=f"of {', '.join(task.name for task in TASKS)}")
    parser.add_argument(
        "--dry-run", action="store_true", help="few numbers, without a GPU; nothing that counts is timed"
    )
    parser.add_argument(
        "--tiny", action="store_true", help="check the smallest sizes alone, as under compute-sanitizer"
    )
    parser.add_argument("--estimate", action="store_true", help="print estimated times of an H200, and run nothing")
    parser.add_argument("--name", help="of the files of results (default: the GPU's)")
    parser.add_argument("--results", metavar="FOLDER", default=str(Path(__file__).parent.parent / "results"))
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> int:
    options = arguments(given)
    if options.estimate:
        from .estimate import table

        print(table())
        return 0
    if options.tiny:
        rows = correctness.checked("cuda", tiny=True)
        print(report.correctness_table(rows))
        return 0 if all(map(correctness.passed, rows)) else 1
    begin = time.monotonic()
    deadline = begin + 60 * options.minutes
    until = begin + 60 * options.minutes * 0.67  # the rest is for single kernels
    device = "cpu" if options.dry_run else "cuda"
    found: dict[str, Any] = {"dry_run": options.dry_run, "versions": report.versions(device)}
    name = options.name or re.sub(r"\W+", "-", found["versions"]["device"]).strip("-").lower()
    folder = Path(options.results)
    print(report.versions_table(found["versions"]), flush=True)

    if not options.dry_run:
        start = time.monotonic()
        found["compiled"] = []
        for job, seconds, said in prepare.prepared(default_device().cc, options.workers, 60 * options.minutes / 3):
            found["compiled"].append([*job, seconds, said])
            if said:
                print(f"not compiled ahead: {' '.join(filter(None, job))}: {said}", flush=True)
        print(f"compiled in {time.monotonic() - start:.0f} s by {options.workers} processes\n", flush=True)
    target = "numpy" if options.dry_run else "cuda"
    found["correctness"] = correctness.checked(target, tiny=options.dry_run, deadline=until)
    if not options.dry_run:
        found["correctness_tf32"] = correctness.checked("cuda", precision="tf32", deadline=until)
        found["sanitizer"] = correctness.sanitized(60, until)
    print(report.correctness_part(found), flush=True)
    report.write(found, folder, name)

    wanted = [task for task in TASKS if options.tasks is None or task.name in options.tasks.split(",")]
    rounds, seconds = (1, 0.0) if options.dry_run else (options.rounds, options.seconds)
    found["training"] = []
    for task in wanted:
        row = training.measured(in_small(task) if options.dry_run else task, device, seconds, rounds, until)
        found["training"].append(row)
        print(report.training_row(row), flush=True)
        report.write(found, folder, name)
    found["kernels"] = []
    for tf32 in (False,) if options.dry_run else (False, True):
        for row in kernels.measured(device, seconds, rounds, deadline, tf32):
            found["kernels"].append(row)
            report.write(found, folder, name)
    print(report.kernels_table(found["kernels"]), flush=True)
    found["minutes"] = (time.monotonic() - begin) / 60
    report.write(found, folder, name)
    bad = report.what_is_wrong(found)
    for line in bad:
        print(f"WRONG: {line}")
    print(f"{found['minutes']:.1f} minutes; {folder / f'gpu-{name}.md'}")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
