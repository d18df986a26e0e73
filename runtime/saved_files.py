"""Saved models: an ``.npz`` of plain arrays and one JSON text, without pickle, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray
from sympy import Basic, Symbol

from ..codegen.kernel_schedule import check_precision
from ..symbolic.errors import SavedFileError, UnsupportedError
from ..symbolic.functions import Elementwise
from ..symbolic.network import Network
from ..symbolic.tensors import shape_text
from .compilation import DTYPES, TARGETS, check_sizes
from .data import size_of
from .files import ArchiveError, read_archive, write_archive

Array = NDArray[Any]
FORMAT = 1
TRAINING = (
    "target",
    "dtype",
    "precision",
    "sizes",
    "seed",
    "epochs",
    "trainings",
    "order",
    "steps",
    "optimizer",
)  # kept in the JSON text
PARAMETER = "parameter."  # before a parameter's name in the archive
RUN = "run."  # before the name of an array that a checkpoint has besides


@dataclass
class Saved:
    """What a file holds of a model; `state`, `steps` and `optimizer` are of the training, if there was one.

    `params` are the parameters and the network's states, `state` that of the optimizer. `run` and `run_arrays` are
    what a checkpoint has besides, see `checkpoint_files`.
    """

    params: dict[str, Array]
    target: str
    dtype: str
    precision: str | None
    sizes: dict[str, int]
    seed: int
    epochs: int
    trainings: int
    order: Any
    state: Array | None
    steps: int
    optimizer: str
    run: dict[str, Any] | None = None
    run_arrays: dict[str, Array] = field(default_factory=dict)


def write_file(path: str | os.PathLike[str], network: Network, saved: Saved) -> None:
    """
    Raises
    ------
    SavedFileError
        If the file cannot be written; one that was there before is untouched.
    """
    from .. import __version__

    check_destination(path)
    about = {
        "format": FORMAT,
        "gradloom": __version__,
        "network": network.name,
        "fingerprint": fingerprint(network),
        "parameters": _shapes(network),
        **{name: getattr(saved, name) for name in TRAINING},
    }
    arrays = {PARAMETER + name: array for name, array in saved.params.items()}
    arrays |= {RUN + name: array for name, array in saved.run_arrays.items()}
    if saved.run is not None:
        about["run"] = saved.run
    if saved.state is not None:
        arrays["state"] = saved.state
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    try:
        write_archive(Path(path), arrays)
    except OSError as error:
        raise SavedFileError(f"cannot write {os.fspath(path)}: {error.strerror or error}") from error


def check_destination(path: str | os.PathLike[str]) -> None:
    """Check that a file can be written at `path`, before the work that it is to hold is done.

    Raises
    ------
    SavedFileError
        If `path` is no path or a directory, or its directory is missing or not writable.
    """
    check_path(path, "cannot write to")
    shown, folder = os.fspath(path), Path(path).parent
    if os.path.isdir(path):
        raise SavedFileError(f"cannot write {shown}: it is a directory; name a file in it, such as model.npz")
    if not folder.is_dir():
        what = "is not a directory" if folder.exists() else "does not exist"
        raise SavedFileError(f"cannot write {shown}: {folder} {what}; create it first")
    if not os.access(folder, os.W_OK):
        raise SavedFileError(f"cannot write {shown}: {folder} is not writable")


def check_path(path: Any, cannot: str) -> None:
    """
    Raises
    ------
    SavedFileError
        If `path` is no path.
    """
    if not isinstance(path, str | os.PathLike) or not os.fspath(path) or "\0" in os.fsdecode(path):
        raise SavedFileError(f"{cannot} {path!r}: it is not the name of a file; give one, such as model.npz")


def read_file(path: str | os.PathLike[str], network: Network) -> Saved:
    """
    Raises
    ------
    SavedFileError
        If the file is missing, truncated, corrupt, or was saved of another network.
    """
    check_path(path, "cannot read")
    shown = os.fspath(path)
    try:
        arrays = read_archive(path)
        about = json.loads(bytes(arrays.pop("about")))
    except FileNotFoundError as error:
        raise SavedFileError(f"there is no saved model {shown}; Model.save writes one") from error
    except (ArchiveError, KeyError, ValueError, RecursionError) as error:
        raise SavedFileError(_damaged(shown, error)) from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        found = about.get("format") if isinstance(about, dict) else about
        raise SavedFileError(f"{shown} has format {found!r}; this version of gradloom reads format {FORMAT}")
    if about.get("fingerprint") != fingerprint(network):
        raise SavedFileError(_other_network(shown, about, network))
    try:
        about = {"target": "cpu", "trainings": 1, "precision": None, **about}  # files of earlier versions do not say
        saved = Saved(
            params={t.name: arrays[PARAMETER + t.name] for t in network.parameters + network.states},
            state=arrays.get("state"),
            run=about.get("run"),
            run_arrays={name.removeprefix(RUN): array for name, array in arrays.items() if name.startswith(RUN)},
            **{name: about[name] for name in TRAINING},
        )
        _check(saved, network)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise SavedFileError(_damaged(shown, error)) from error
    return saved


def _check(saved: Saved, network: Network) -> None:
    """Raise one of Python's own errors if the parts of a file do not fit together."""
    if saved.dtype not in DTYPES:
        raise ValueError(f"dtype {saved.dtype}")
    if saved.target not in TARGETS:
        raise ValueError(f"target {saved.target}")
    try:
        check_precision(saved.precision, saved.target, saved.dtype)
    except UnsupportedError as error:
        raise ValueError(str(error)) from None
    for name in ("seed", "epochs", "trainings", "steps"):
        if not isinstance(getattr(saved, name), int) or getattr(saved, name) < 0:
            raise ValueError(f"{name} is {getattr(saved, name)!r}")
        if name != "seed" and getattr(saved, name) > 2**53:  # kernels compute with it
            raise ValueError(f"{name} is more than 2**53")
    saved.sizes = check_sizes(saved.sizes)
    np.random.default_rng(0).bit_generator.state = saved.order
    count = 0
    for tensor in network.parameters + network.states:
        shape = tuple(size_of(size, saved.sizes) for size in tensor.shape)
        array = saved.params[tensor.name]
        if array.shape != shape or array.dtype != np.dtype(saved.dtype):
            raise ValueError(f"{tensor.name} is {array.dtype} of shape {array.shape}, not {saved.dtype} of {shape}")
        count += array.size
    state = saved.state
    if state is not None and (state.dtype != np.dtype(saved.dtype) or state.ndim != 2 or state.shape[1] > count):
        raise ValueError(f"the optimizer's state is {state.dtype} of shape {state.shape}")


def fingerprint(network: Network) -> str:
    """A digest of the declaration: tensors, shapes, constants and equations; not of names that only people read.

    The letters of indices do not count, nor does the network's title.
    """
    lines = [
        f"{t.role} {t.name} {sympy.srepr(sympy.Tuple(*t.shape))} {t.classes} {network.values.get(t.name)}"
        for t in network.tensors.values()
    ]
    for mark, equation in network.written():
        letters = {index: Symbol(f"#{place}", integer=True) for place, index in enumerate(equation.indices)}
        body = _spelled_out(equation.at([letters[index] for index in equation.indices]))
        lines.append(f"{mark.text}{equation.target.name} = {sympy.srepr(body)}")
    lines.append(f"loss {network.loss}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def update_digest(source: str) -> str:
    """Tells whether an optimizer's state belongs to the kernels that are now to use it, by what their source says.

    That is where parameters lie, and the equations of the update, whatever batch the kernels are chosen for.
    """
    places = source[source.index("\nPARAMETERS = ") : source.index("\ndef gradient_places(")]
    docstring = source.partition("\nUpdate, at step t:")[2].partition('"""')[0]
    equations = docstring.partition("\n\n")[0].rstrip("\n")  # a target may say more behind them
    return hashlib.sha256(f"{equations}\n{places}".encode()).hexdigest()


def _spelled_out(body: Any) -> Any:
    """`body` with every named function replaced by its formula: a name may stand for another formula elsewhere."""
    found = sorted(body.atoms(Elementwise), key=Basic.sort_key)
    while found:
        body = body.xreplace({node: node.expand_definition() for node in found})
        found = sorted(body.atoms(Elementwise), key=Basic.sort_key)
    return body


def _shapes(network: Network) -> dict[str, str]:
    return {tensor.name: shape_text(tensor.shape) for tensor in network.parameters + network.states}


def _damaged(path: str, error: BaseException) -> str:
    reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
    return f"{path} is not a saved model, or is truncated or corrupt ({reason}); save it again, or take a copy"


def _other_network(path: str, about: dict[str, Any], network: Network) -> str:
    saved, here = about.get("parameters"), _shapes(network)
    message = f"{path} was saved of another network ({about.get('network')})"
    if isinstance(saved, dict) and saved != here:
        name = next(name for name in [*saved, *here] if saved.get(name) != here.get(name))
        message += f": its {name} is {saved.get(name, 'absent')}, that of {network.name} is {here.get(name, 'absent')}"
    else:
        message += f": it has the same parameters as {network.name}, but other equations or constants"
    return message + "; load it with the declaration it was saved with"
