"""Runs of one target: inputs proposed by Atheris or Hypothesis, until the time is over; findings are kept as files."""

from __future__ import annotations

import contextlib
import faulthandler
import glob
import hashlib
import json
import os
import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NoReturn

from fuzzing.oracle import ROOT, Finding, Watch
from fuzzing.target import WATCHED, load_target

MEMORY = 8 * 2**30  # bytes of addresses; what is declared larger must be refused, not reserved
LONGEST = 2048  # bytes of an input
LOGGED = 60  # seconds from one line of the log to the next


class Over(BaseException):
    """The time is over."""


class Run:
    """Inputs of one target, one after another.

    Parameters
    ----------
    name : of the target.
    kept : where findings go.
    seconds : after which `one` raises `Over`.
    engine : what proposes the inputs, for the log.
    """

    def __init__(self, name: str, kept: Path, seconds: float = float("inf"), engine: str = "") -> None:
        self.name, self.kept, self.engine = name, kept, engine
        self.folder = Path(tempfile.mkdtemp(prefix="fuzzing-"))
        os.environ["GRADLOOM_CACHE_DIR"] = str(self.folder / "kernels")
        os.environ["HOME"] = str(self.folder)
        self.target = load_target(name, self.folder)
        self.watch = Watch(self.target.call, self.folder, self.target.limit, self.target.may_run)
        self.inputs, self.found = 0, {}  # type: int, dict[str, int]
        self.begun, self.used = time.monotonic(), time.process_time()
        self.end = self.begun + seconds

    def one(self, data: bytes) -> None:
        """Run one input; a finding is kept, once for each cause."""
        if time.monotonic() > self.end:
            raise Over
        current = self.kept / f"running-{os.getpid()}"
        current.write_bytes(data)  # it is left behind if the process dies
        faulthandler.dump_traceback_later(20 * self.target.limit, exit=True)  # if it waits, or no signal comes in
        self.inputs += 1
        try:
            self.watch.run(data)
        except Finding as finding:
            self.keep(finding, data)
        faulthandler.cancel_dump_traceback_later()
        if time.monotonic() > self.begun + LOGGED:
            self.log()

    def keep(self, finding: Finding, data: bytes) -> None:
        self.found[finding.key] = self.found.get(finding.key, 0) + 1
        name = hashlib.sha256(finding.key.encode()).hexdigest()[:12]
        file = self.kept / f"finding-{name}"
        if not file.exists() or len(data) < file.stat().st_size:
            file.write_bytes(data)
            file.with_suffix(".txt").write_text(str(finding), errors="backslashreplace")

    def log(self) -> None:
        """Add a line to the target's log, on what was done since the last one."""
        seconds = round(time.monotonic() - self.begun, 1)
        used = round(time.process_time() - self.used, 1)
        about = {
            "engine": self.engine,
            "seconds": seconds,
            "processor": used,
            "inputs": self.inputs,
            "outcomes": self.watch.outcomes,
        }
        with open(self.kept / "log.jsonl", "a") as log:
            log.write(json.dumps({**about, "found": self.found}) + "\n")
        self.begun, self.used = time.monotonic(), time.process_time()
        self.inputs, self.watch.outcomes, self.found = 0, {}, {}


def limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def with_hypothesis(name: str, kept: Path, seconds: float, seed: int) -> None:
    """Run inputs that Hypothesis draws."""
    import hypothesis
    from hypothesis import strategies as st

    limit_memory()
    run = Run(name, kept, seconds, "hypothesis")
    settings = hypothesis.settings(
        max_examples=10**6,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    long = st.builds(lambda seed, size: random.Random(seed).randbytes(size), st.integers(0), st.integers(0, LONGEST))
    test = hypothesis.given(st.binary(max_size=64) | long)(run.one)
    with contextlib.suppress(Over):
        for data in run.target.seeds:
            run.one(data)
        for number in range(10**6):
            settings(hypothesis.seed(seed + number)(test))()
    run.log()
    (kept / f"running-{os.getpid()}").unlink(missing_ok=True)


def with_atheris(name: str, kept: Path, seconds: float, seed: int) -> NoReturn:
    """Run inputs that Atheris makes out of those that reached new code; the process ends."""
    import atheris

    # Atheris takes whole packages, and modules that are left out.
    package = ROOT / "gradloom"
    found = glob.glob(f"{package}/**/*.py", recursive=True)  # unlike a path's own method it follows links to folders
    files = [Path(path).relative_to(ROOT).with_suffix("") for path in found]
    modules = [".".join(path.parts).removesuffix(".__init__") for path in files]
    others = [module for module in modules if not module.startswith(WATCHED[name])]
    with atheris.instrument_imports(include=["gradloom"], exclude=others):
        run = Run(name, kept, seconds, "atheris")
    limit_memory()
    corpus = kept / "corpus"
    corpus.mkdir(exist_ok=True)
    for data in run.target.seeds:
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)

    def one(data: bytes) -> None:
        try:
            run.one(data)
        except Over:
            run.log()
            (kept / f"running-{os.getpid()}").unlink(missing_ok=True)
            sys.stdout.flush()
            os._exit(0)

    options: list[Any] = [
        f"-artifact_prefix={kept}/",  # where the process itself ends, its input
        "-timeout=99999",
        "-report_slow_units=99999",
        f"-max_len={LONGEST}",
        "-rss_limit_mb=0",
        f"-seed={seed}",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], one)
    atheris.Fuzz()
    raise SystemExit
