"""The ``gradloom`` command: demo, derive, check, generate, train, bench, explain, gradcheck.

Exit status: 0 done, 1 the answer is "no" (a failed gradient check, a claim that is wrong or cannot be decided), 2 bad
input, with one message on standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence

from . import __version__
from .commands import bench, check, demo, derive, explain, generate, gradcheck, train
from .symbolic.errors import GradloomError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    with contextlib.suppress(AttributeError, ValueError):
        # Equations hold ∂ and Σ: where the terminal's encoding lacks them, they are escaped rather than an error.
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        with _plain_warnings():
            status: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has had enough of it (gradloom derive … | head).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("\ngradloom: stopped", file=sys.stderr)
        return 130
    except Exception as error:
        if options.debug:
            raise
        if isinstance(error, GradloomError):
            print(f"gradloom: error: {error}", file=sys.stderr)
        else:
            print(
                f"gradloom: unexpected {type(error).__name__}: {error} (gradloom --debug … shows where)",
                file=sys.stderr,
            )
        return 2
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gradloom",
        description="Networks declared in SymPy: derived gradients, readable and as fast kernels.",
        epilog="Exit status: 0 done, 1 the answer is no (a failed check, a claim that is not right), 2 bad input.",
    )
    parser.add_argument("--version", action="version", version=f"gradloom {__version__}")
    parser.add_argument("--debug", action="store_true", help="show a traceback with an error")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (demo, derive, check, generate, train, bench, explain, gradcheck):
        name, text = module.__name__.rpartition(".")[2], module.HELP
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Warnings as one line, without the place in the source."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: print(f"gradloom: warning: {message}", file=sys.stderr)
        yield
