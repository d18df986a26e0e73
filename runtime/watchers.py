"""Callbacks for people who watch a training: curves that grow while it runs, and files for TensorBoard."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..symbolic.errors import DataError, MissingExtraError, SavedFileError
from .callbacks import Callback
from .files import write_atomically
from .history import History

if TYPE_CHECKING:
    from .model import Model

PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
{refresh}<title>{title}</title>
<style>body {{ font-family: sans-serif; margin: 2em; color-scheme: light dark; }} svg {{ max-width: 100%; }}</style>
<h1>{title}</h1>
<p>{state}</p>
{picture}
</html>
"""


class LiveCurves(Callback):
    """Draw the training curves while it goes on: in a notebook, or on a page that a browser loads again by itself.

    Parameters
    ----------
    path : an HTML file, which needs nothing else; without it the curves are shown below the cell of a notebook.
    seconds : from one picture to the next, at least.

    Raises
    ------
    DataError
        If `seconds` is no such number.
    SavedFileError
        In `fit`, if the file cannot be written.
    MissingExtraError
        In `fit`, if there is no path and no notebook, or matplotlib is not installed.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, seconds: float = 1.0) -> None:
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
            raise DataError(f"seconds between pictures is {seconds!r}; expected a number above 0")
        self.path, self.seconds = None if path is None else Path(path), float(seconds)
        self._shown: Any = None

    def on_train_begin(self, model: Model) -> None:
        self._drawn, self._shown = -math.inf, None
        if self.path is None:
            _notebook()
        else:
            self._write(model, "No epoch is done yet.", "", is_over=False)

    def on_epoch_end(self, model: Model, epoch: int, logs: Mapping[str, float]) -> bool | None:
        if time.monotonic() - self._drawn >= self.seconds:
            self._draw(model, is_over=False)
        return None

    def on_train_end(self, model: Model, history: History) -> None:
        if history.get("epoch"):
            self._draw(model, is_over=True)

    def _draw(self, model: Model, *, is_over: bool) -> None:
        picture = model.history.picture()
        self._drawn = time.monotonic()
        if self.path is not None:
            count = int(model.history["epoch"][-1])
            state = f"{count} epochs; " + ("training has ended." if is_over else "training goes on.")
            self._write(model, state, picture.svg(), is_over=is_over)
        elif self._shown is None:
            self._shown = _notebook()(picture, display_id=True)
        else:
            self._shown.update(picture)

    def _write(self, model: Model, state: str, picture: str, *, is_over: bool) -> None:
        assert self.path is not None
        refresh = "" if is_over else f'<meta http-equiv="refresh" content="{math.ceil(self.seconds)}">\n'
        page = PAGE.format(refresh=refresh, title=f"Training of {model.network.name}", state=state, picture=picture)
        try:
            write_atomically(self.path, page.encode())
        except OSError as error:
            raise SavedFileError(f"cannot write {self.path}: {error.strerror or error}") from error


class TensorBoard(Callback):
    """Write every column of the history as event files, which ``tensorboard --logdir FOLDER`` shows.

    Parameters
    ----------
    folder : of the event files of one run.

    Raises
    ------
    MissingExtraError
        If tensorboardX is not installed.
    SavedFileError
        In `fit`, if the folder cannot be written to.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise MissingExtraError(
                "event files for TensorBoard are written by tensorboardX: pip install 'gradloom[tensorboard]'"
            ) from error
        self.folder, self._make = Path(folder), SummaryWriter
        self._writer: Any = None

    def on_train_begin(self, model: Model) -> None:
        try:
            self._writer = self._make(str(self.folder))
        except OSError as error:
            raise SavedFileError(f"cannot write to {self.folder}: {error.strerror or error}") from error

    def on_epoch_end(self, model: Model, epoch: int, logs: Mapping[str, float]) -> bool | None:
        for name, value in logs.items():
            if name != "epoch" and math.isfinite(value):
                self._writer.add_scalar(name, value, epoch)
        self._writer.flush()
        return None

    def on_train_end(self, model: Model, history: History) -> None:
        self._writer.close()


def is_notebook() -> bool:
    """Whether this code runs in a notebook's kernel."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return hasattr(get_ipython(), "kernel")


def _notebook() -> Any:
    """IPython's ``display``."""
    if not is_notebook():
        raise MissingExtraError(
            "there is no notebook to draw curves in; give a file, as in gl.LiveCurves('curves.html')"
        )
    from IPython.display import display

    return display
