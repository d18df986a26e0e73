"""MODEL files: Python files that declare a network, and may say how it is trained.

A MODEL is ``file.py`` or ``file.py:name``; without a name the network is called ``network``. Beside it the file may
define

``data``
    ``(X, Y)`` for `Model.fit`, or a function that returns it; by default scikit-learn's digits.
``training``
    a dict of settings: those of `Model` (seed, dtype, target, sizes, schedule, checkpoint, precision) and of
    `Model.fit` (epochs, batch, optimizer, validation, shuffle, early_stopping, metrics). Options on the command line
    come before them.
``report``
    a function ``report(model, epoch)`` that prints what is of interest; it is called before the training, with epoch 0,
    and after every epoch.
``claims``
    a dict of settings for ``gradloom check``, those of `check`: aliases, functions, layout, derivatives, single, first,
    symbols. Options on the command line come before them.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from .symbolic.errors import ModelFileError
from .symbolic.network import Network

MODEL_SETTINGS = ("seed", "dtype", "target", "sizes", "schedule", "checkpoint", "precision")
FIT_SETTINGS = ("epochs", "batch", "optimizer", "validation", "shuffle", "early_stopping", "metrics", "overlap")
CLAIM_SETTINGS = ("aliases", "functions", "layout", "derivatives", "single", "first", "symbols")


@dataclass(frozen=True)
class ModelFile:
    """What a MODEL file defines."""

    path: Path
    network: Network
    data: Any = None
    training: dict[str, Any] = field(default_factory=dict)
    report: Callable[[Any, int], Any] | None = None
    claims: dict[str, Any] = field(default_factory=dict)

    def named_data(self) -> dict[str, Any] | None:
        """The file's data as ``{name: array}``, or None where it defines none."""
        from .runtime.data import name_data

        if self.data is None:
            return None
        inputs, targets = self.data
        return {
            **name_data(self.network.inputs, inputs, "input"),
            **name_data(self.network.targets, targets, "target"),
        }


def load_model_file(model: str) -> ModelFile:
    """Run a MODEL file and take its network and settings.

    Raises
    ------
    ModelFileError
        If the file is missing or raises (the message has the line and the exception), or defines no such network.
    """
    file, _, name = model.rpartition(":")
    if not file or not name.isidentifier():
        file, name = model, ""
    path = Path(file)
    if not os.path.isfile(path):  # unlike the path's own method it takes names that are too long for a file
        what = "is a directory" if os.path.isdir(path) else "does not exist"
        raise ModelFileError(f"MODEL file {file} {what}; expected a Python file, file.py or file.py:name")
    namespace = vars(run_file(path))
    network = _network(path, namespace, name or "network")
    training = _training(path, namespace.get("training", {}))
    claims = _claims(path, namespace.get("claims", {}))
    report = namespace.get("report")
    if report is not None and not callable(report):
        raise ModelFileError(f"{path}: report is {report!r}; expected a function report(model, epoch)")
    data = namespace.get("data")
    if callable(data):
        data = guarded(path, data)
    if data is not None and not (isinstance(data, tuple | list) and len(data) == 2):
        raise ModelFileError(f"{path}: data must be a pair (X, Y), or a function that returns it; found {_shown(data)}")
    told = None if report is None else _guarded_report(path, report)
    return ModelFile(path, network, data, training, told, claims)


def run_file(path: Path) -> ModuleType:
    """Execute a Python file as a module of its own; modules beside it can be imported."""
    module = ModuleType("gradloom_model_" + hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12])
    module.__file__ = str(path)
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    sys.modules[module.__name__] = module
    try:
        guarded(path, lambda: exec(compile(path.read_bytes(), str(path), "exec"), vars(module)))
    finally:
        sys.path.remove(folder)
    return module


def guarded(path: Path, function: Callable[..., Any], *args: Any) -> Any:
    """Call code of the MODEL file; what it raises becomes one message with the file, the line and the exception.

    Raises
    ------
    ModelFileError
    """
    try:
        return function(*args)
    except (Exception, SystemExit) as error:
        if isinstance(error, SyntaxError) and error.filename == str(path):
            line = error.lineno
        else:
            lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
            line = lines[-1] if lines else None
        at = f"{path}, line {line}" if line else str(path)
        message = getattr(error, "msg", None) if isinstance(error, SyntaxError) else str(error)
        raise ModelFileError(f"{at}: {type(error).__name__}: {message}") from error


def _guarded_report(path: Path, report: Callable[[Any, int], Any]) -> Callable[[Any, int], Any]:
    return lambda model, epoch: guarded(path, report, model, epoch)


def _network(path: Path, namespace: dict[str, Any], name: str) -> Network:
    found = namespace.get(name)
    if isinstance(found, Network):
        return found
    others = [key for key, value in namespace.items() if isinstance(value, Network) and not key.startswith("_")]
    if others:
        near = difflib.get_close_matches(name, others, 1) or others[:1]
        mend = f"it defines {', '.join(others)}: give {path}:{near[0]}"
    else:
        mend = f"define one, as in {name} = gl.Network() or gl.Sequential(…)"
    what = f"{name} is {_shown(found)}, not a network" if found is not None else f"defines no network named {name!r}"
    raise ModelFileError(f"{path} {what}; {mend}" if found is None else f"{path}: {what}; {mend}")


def _training(path: Path, settings: Any) -> dict[str, Any]:
    known = MODEL_SETTINGS + FIT_SETTINGS
    if not isinstance(settings, dict):
        raise ModelFileError(f"{path}: training is {_shown(settings)}; expected a dict of settings: {', '.join(known)}")
    for key in settings:
        if key not in known:
            raise ModelFileError(f"{path}: training has no setting {key!r}; there are {', '.join(known)}")
    sizes = settings.get("sizes")
    if sizes is not None and not isinstance(sizes, dict):
        raise ModelFileError(f"{path}: training has sizes {_shown(sizes)}; expected a dict, as in {{'n': 64}}")
    return dict(settings)


def _claims(path: Path, settings: Any) -> dict[str, Any]:
    if not isinstance(settings, dict):
        known = ", ".join(CLAIM_SETTINGS)
        raise ModelFileError(f"{path}: claims is {_shown(settings)}; expected a dict of settings: {known}")
    for key, value in settings.items():
        if key not in CLAIM_SETTINGS:
            raise ModelFileError(f"{path}: claims has no setting {key!r}; there are {', '.join(CLAIM_SETTINGS)}")
        if key in ("aliases", "functions", "symbols") and not isinstance(value, dict):
            raise ModelFileError(f"{path}: claims has {key} {_shown(value)}; expected a dict by name")
    return dict(settings)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
