"""The progress bar of `fit`: tqdm where it is installed and people look, else nothing."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Mapping
from typing import Any, Literal

from .history import number_text
from .watchers import is_notebook


class Progress:
    """One bar over all steps of a training, with the epoch, the loss and the metrics beside it.

    Parameters
    ----------
    steps : in the whole training.
    show : True, False, or "auto": only in a notebook, or if standard error is a terminal. Without tqdm there is no bar.
    """

    def __init__(self, steps: int, show: bool | Literal["auto"] = "auto") -> None:
        self._bar: Any = None
        in_notebook = show is not False and is_notebook()
        if show is False or (show == "auto" and not (in_notebook or sys.stderr.isatty())):
            return
        try:
            tqdm = _bar(in_notebook)
        except ImportError:
            return
        # The first call of a kernel compiles it, or loads it from the cache.
        options: dict[str, Any] = {"unit": "step", "unit_scale": True, "dynamic_ncols": True, "file": sys.stderr}
        self._bar = tqdm(total=steps, desc="compiling", **options)
        self._shown: dict[str, str] = {}

    def epoch(self, epoch: int, last: int) -> None:
        if self._bar is not None:
            self._bar.set_description_str(f"epoch {epoch}/{last}", refresh=False)

    def advance(self, steps: int, loss: float | None = None) -> None:
        if self._bar is not None:
            if loss is not None:
                self._shown["loss"] = f"{loss:.4g}"
                self._bar.set_postfix(self._shown, refresh=False)
            self._bar.update(steps)

    def finish_epoch(self, logs: Mapping[str, float]) -> None:
        if self._bar is not None:
            self._shown = {name: number_text(name, value) for name, value in logs.items() if name != "epoch"}
            self._bar.set_postfix(self._shown, refresh=False)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.refresh()
            self._bar.close()


def _bar(in_notebook: bool) -> Any:
    """tqdm's bar; in a notebook the one made of widgets, where these are installed."""
    if in_notebook:
        with contextlib.suppress(ImportError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import ipywidgets  # noqa: F401
            from tqdm.notebook import tqdm as widget

            return widget
    from tqdm import tqdm

    return tqdm
