"""`python -m fuzzing TARGET`: fuzz one target for some minutes, or run one input again."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import time
import traceback
from pathlib import Path

from fuzzing.engines import Run, with_atheris, with_hypothesis
from fuzzing.target import NAMES

ENGINES = {"atheris": with_atheris, "hypothesis": with_hypothesis}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzzing", description=__doc__)
    parser.add_argument("target", choices=NAMES)
    parser.add_argument("--minutes", type=float, default=30.0, help="default: %(default)g")
    parser.add_argument("--engine", choices=ENGINES, help="default: atheris, or hypothesis where that is not installed")
    parser.add_argument("--seed", type=int, help="default: a random one")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run one input again")
    parser.add_argument("--out", type=Path, default=Path(".fuzzing"), help="where findings go (default: %(default)s)")
    parser.add_argument("--worker", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    kept = (options.out / options.target).absolute()
    kept.mkdir(parents=True, exist_ok=True)
    engine = options.engine or ("atheris" if importlib.util.find_spec("atheris") else "hypothesis")
    if options.replay is not None:
        return replay(options.target, kept, options.replay.read_bytes())
    seed = random.randrange(1, 2**31) if options.seed is None else options.seed
    if options.worker is not None:
        ENGINES[engine](options.target, kept, options.worker, seed)
        return 0
    return supervise(options.target, kept, engine, 60 * options.minutes, seed)


def replay(name: str, kept: Path, data: bytes) -> int:
    run = Run(name, kept)
    try:
        run.watch.run(data)
    except Exception:
        traceback.print_exc()
        return 1
    finally:
        shutil.rmtree(run.folder, ignore_errors=True)
    print(f"no finding: {', '.join(run.watch.outcomes)}")
    return 0


def supervise(name: str, kept: Path, engine: str, seconds: float, seed: int) -> int:
    """Run workers until the time is over: one that dies leaves its input, which is a finding, and another begins."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 1:
        arguments = [name, "--engine", engine, "--out", str(kept.parent), "--worker", str(left), "--seed", str(seed)]
        with open(kept / "output.txt", "ab") as output:
            worker = subprocess.Popen([sys.executable, "-m", "fuzzing", *arguments], stdout=output, stderr=output)
            try:
                status = worker.wait()
            except KeyboardInterrupt:
                worker.terminate()
                return 130
        running = kept / f"running-{worker.pid}"
        if running.exists():
            running.rename(kept / f"died-{status}-{worker.pid}")
            print(f"a worker ended with status {status}: see {kept / 'output.txt'} and died-{status}-{worker.pid}")
        elif status:
            print(f"the worker could not begin: see {kept / 'output.txt'}")
            return 1
        seed += 1
    runs = [json.loads(line) for line in (kept / "log.jsonl").read_text().splitlines()]
    inputs, minutes, used = (sum(run[part] for run in runs) for part in ("inputs", "seconds", "processor"))
    print(f"{name}: {inputs:,} inputs in {minutes / 60:.1f} min, {used / 60:.1f} of them on the processor")
    findings = sorted(kept.glob("finding-*.txt")) + sorted(kept.glob("died-*"))
    for path in findings:
        print(f"{path}: {path.read_text(errors='replace').splitlines()[0] if path.suffix == '.txt' else 'died'}")
    return 1 if findings else 0


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(main())
