"""Where a command's text goes: standard output or a file."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..symbolic.errors import GradloomError


def add_output(command: argparse.ArgumentParser) -> None:
    command.add_argument("-o", "--output", metavar="FILE", help="write to FILE instead of standard output")


def write_output(text: str, path: str | None) -> None:
    if path is None:
        print(text, end="" if text.endswith("\n") else "\n")
    else:
        write_text(Path(path), text)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    GradloomError
        If it cannot be written.
    """
    from ..runtime.files import write_atomically

    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise GradloomError(f"cannot write {path}: {error.strerror or error}") from error
