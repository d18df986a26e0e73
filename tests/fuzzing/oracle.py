"""What may come out, whatever goes in: gradloom's own errors, in time, and nothing is run, written or sent elsewhere.

Code that an input brings along calls ``sys.audit("canary")`` (`PAYLOADS`): that nothing of it runs is seen by Python's
audit hooks, which see whatever is executed, unpickled, started, connected to or opened for writing, too.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import site
import sys
import sysconfig
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fuzzing.choices import Choices

ROOT = Path(__file__).resolve().parents[2]
CANARY = "__import__('sys').audit('canary')"
PAYLOADS = (
    CANARY,
    f"$({CANARY})",
    f"{{{CANARY}}}",
    f"\n{CANARY}\n",
    f"lambda: {CANARY}",
    "; touch canary;",
    "../canary",
)
STARTS = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "pty.spawn", "subprocess.Popen", "os.kill",
          "socket.connect", "socket.bind", "socket.getaddrinfo", "pickle.find_class", "canary")  # fmt: skip
CHANGES = {"os.remove": (0, 1), "os.rename": (1, 3), "os.mkdir": (0, 2), "os.rmdir": (0, 1), "os.symlink": (1, 2)}
LIBRARIES = tuple({*map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib")), *site.getsitepackages()})
EVALUATES = ("sympy/parsing/", "sympy/core/sympify.py", "/pickle.py", "/runpy.py", "/code.py")


class Forbidden(BaseException):
    """Something was about to be done that no input may bring about; nothing in gradloom catches it."""


class TooSlow(BaseException):
    """An input took longer than its limit, in time of the processor."""


class Finding(Exception):
    """What came out that must not; `key` is the same for what has the same cause."""

    def __init__(self, key: str, details: str) -> None:
        super().__init__(f"{key}\n{details}")
        self.key = key


class Watch:
    """Runs inputs of one target and judges what comes out.

    Parameters
    ----------
    target : makes calls by choices.
    folder : all that may be written to.
    limit : seconds for an input.
    may_run : whether a file in `folder` may be executed now.
    """

    def __init__(
        self, target: Callable[[Choices], Any], folder: Path, limit: float, may_run: Callable[[str], bool] | None = None
    ) -> None:
        self.target, self.folder, self.limit = target, folder.resolve(), limit
        self.may_run = may_run or (lambda file: False)
        self.outcomes: dict[str, int] = {}

    def run(self, data: bytes) -> None:
        """
        Raises
        ------
        Finding
        """
        from gradloom.symbolic.errors import GradloomError

        outcome, seen = "done", len(_caught)
        try:
            with _watched(self), _in_time(self.limit), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    self.target(Choices(data))
                except GradloomError as error:
                    if not str(error).strip():
                        raise AssertionError(f"a {type(error).__name__} without a message") from error
                    outcome = type(error).__name__
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise Finding(_key(error), traceback.format_exc()) from error
        if len(_caught) > seen:  # raised by the hook, and swallowed
            raise Finding(f"Forbidden: {_caught[-1]}", "it was caught on its way")
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1


def _key(error: BaseException) -> str:
    """The exception and the last of our lines that it came through."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _ours(frame.filename)]
    at = f"{Path(frames[-1].filename).name}:{frames[-1].name}" if frames else "?"
    what = f": {error}" if isinstance(error, Forbidden) else ""
    return f"{type(error).__name__}{what} in {at}"


def _ours(file: str) -> bool:
    return file.startswith(str(ROOT)) and "/tests/" not in file


_watching: list[Watch] = []
_caught: list[str] = []
_hooked = False


@contextlib.contextmanager
def _watched(watch: Watch) -> Iterator[None]:
    global _hooked
    if not _hooked:  # hooks cannot be taken away: there is one, and it may be idle
        sys.addaudithook(_hook)
        _hooked = True
    _watching.append(watch)
    try:
        yield
    finally:
        _watching.pop()


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    watch = _watching[-1]
    bad = event in STARTS
    if event == "canary":
        bad = not watch.may_run(os.path.realpath(sys._getframe(1).f_code.co_filename))
    elif event == "exec":
        bad = not _may_execute(watch, arguments[0].co_filename, sys._getframe(1).f_code.co_filename)
    elif event == "open":
        path, mode, flags = arguments
        writes = (
            any(c in mode for c in "wax+") if isinstance(mode, str) else bool((flags or 0) & (os.O_WRONLY | os.O_RDWR))
        )
        bad = writes and not _may_write(watch, path)
    elif event in CHANGES:
        path, beside = (arguments[place] for place in CHANGES[event])
        bad = not _may_write(watch, path, beside)
    if bad:
        _watching.pop()  # what follows, and shows what happened, is not judged
        _watching.append(_Blind(watch))
        what = f"{event} {arguments[0].co_filename if event == 'exec' else arguments!r:.200}"
        _caught.append(what)
        raise Forbidden(what)


class _Blind(Watch):
    """Stands for a watch that has caught something."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(watch.target, Path("/"), watch.limit, lambda file: True)


def _may_execute(watch: Watch, file: str, caller: str) -> bool:
    if isinstance(watch, _Blind):
        return True
    if file.startswith("<"):  # made by a library, as dataclasses and Jinja make functions; not of what was read
        return (caller.startswith(LIBRARIES) and not any(part in caller for part in EVALUATES)) or watch.may_run(file)
    kept = os.environ.get("GRADLOOM_CACHE_DIR", "\0")
    real = os.path.realpath(file)
    return file.startswith((*LIBRARIES, str(ROOT))) or real.startswith(os.path.realpath(kept)) or watch.may_run(real)


def _may_write(watch: Watch, path: Any, beside: int = -1) -> bool:
    if isinstance(path, int) or path is None:
        return True
    folder = os.getcwd() if beside < 0 else f"/proc/self/fd/{beside}"
    real = os.path.realpath(os.path.join(folder, os.fsdecode(path)))
    if "__pycache__" in Path(real).parts and real.startswith((str(ROOT), sys.prefix, sys.base_prefix)):
        return True  # what Python itself keeps of a module that is imported for the first time
    kept = os.environ.get("GRADLOOM_CACHE_DIR", "\0")
    return real == os.devnull or real.startswith((str(watch.folder), os.path.realpath(kept)))


@contextlib.contextmanager
def _in_time(seconds: float) -> Iterator[None]:
    def ring(*_: Any) -> None:
        raise TooSlow(f"more than {seconds:g} s")

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def command(*arguments: str) -> int:
    """Run the command line here, silently.

    Raises
    ------
    Exception
        Whatever the command line would show as an error.
    AssertionError
        If its exit status is none of 0, 1, 2.
    """
    from gradloom.cli import main

    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", errors=errors) for errors in ("strict", "backslashreplace"))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(["--debug", *arguments])  # so that errors come out as they are
    if status not in (0, 1, 2):
        raise AssertionError(f"exit status {status}")
    return status
