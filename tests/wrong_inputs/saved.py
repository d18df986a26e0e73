"""Models, parameters, checkpoints and pictures on disk, and the directory of compiled kernels."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

import gradloom as gl
from gradloom.runtime import cache

from .case import Case, Place, Proved, X, Y, fitted, model, stacked

load = gl.Model.load


def saved(place: Place, name: str = "model.npz") -> Path:
    model().save(place.path / name)
    return place.path / name


def about(place: Place, **changed: object) -> Path:
    """A saved model that says something else of itself."""
    path = saved(place)
    with np.load(path) as archive:
        arrays = dict(archive)
    said = json.loads(bytes(arrays["about"])) | changed
    arrays["about"] = np.frombuffer(json.dumps(said).encode(), np.uint8)
    np.savez(path, **arrays)
    return path


def cut(place: Place) -> Path:
    path = saved(place)
    path.write_bytes(path.read_bytes()[:-50])
    return path


def full(place: Place) -> object:
    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    place.patch.setattr(os, "fsync", no_space)
    return saved(place)


def folder(place: Place, name: str = "model.npz") -> Path:
    (place.path / name).mkdir()
    return place.path / name


def parameters(place: Place, name: str = "model.npz", **arrays: object) -> object:
    return model().load_parameters(place.arrays(name, **arrays))


def kept(place: Place, **options: object) -> object:
    return fitted(checkpoints=place.path / "run", **options)


def resumed(place: Place, **options: object) -> object:
    kept(place)
    return kept(place, resume=True, **options)


def damaged(place: Place) -> object:
    kept(place)
    for path in (place.path / "run").glob("checkpoint-*"):
        path.write_bytes(b"PK")
    return kept(place, resume=True)


def unwritten(place: Place) -> object:
    kept(place)

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    place.patch.setattr(os, "fsync", no_space)
    return kept(place, resume=True, epochs=2)


def cache_in(place: Place, path: Path | str) -> object:
    place.patch.setattr(cache, "_chosen", None)
    place.patch.setenv("GRADLOOM_CACHE_DIR", str(path))
    return gl.cache_dir()


def shared(place: Place) -> object:
    (place.path / "cache").mkdir()
    (place.path / "cache").chmod(0o777)
    return cache_in(place, place.path / "cache")


def homeless(place: Place) -> object:
    place.patch.setattr(cache, "_chosen", None)
    place.patch.setattr(cache, "_temporary", None)
    place.patch.delenv("GRADLOOM_CACHE_DIR", raising=False)
    place.patch.setenv("XDG_CACHE_HOME", str(place.file("file", "")))
    return gl.cache_dir()


CASES: dict[str, Case] = {
    "A model that is not there": lambda place: load(place.path / "model.npz", stacked()),
    "A model whose name is none": lambda place: load(None, stacked()),
    "A folder in the place of a model": lambda place: load(folder(place), stacked()),
    "A model that is cut short": lambda place: load(cut(place), stacked()),
    "A file that is no model": lambda place: load(place.arrays("model.npz", X=X), stacked()),
    "A model of a later version": lambda place: load(about(place, format=2), stacked()),
    "A model of another network": lambda place: load(saved(place), stacked(gl.layers.Dense(5))),
    "A model that says what cannot be": lambda place: load(about(place, dtype="float16"), stacked()),
    "No name to save to": lambda place: model().save(""),
    "A folder to save to": lambda place: model().save(folder(place)),
    "A folder that does not exist, to save in": lambda place: model().save(place.path / "nowhere" / "model.npz"),
    "A file in the place of the folder to save in": lambda place: model().save(place.file("file", "") / "model.npz"),
    "A disk that is full": full,
    "Parameters that are not there": lambda place: model().load_parameters(place.path / "model.npz"),
    "Parameters in a file of another kind": lambda place: model().save_parameters(place.path / "model.pt"),
    "Parameters that are damaged": lambda place: model().load_parameters(place.file("model.safetensors", "{}")),
    "Parameters of other names": lambda place: parameters(place, V=X),
    "Parameters of another shape": lambda place: parameters(place, W1=X, b1=np.ones(3)),
    "Integers for parameters": lambda place: parameters(place, W1=np.ones((3, 2), int), b1=np.ones(3)),
    "A parameter too large for the type": lambda place: parameters(place, W1=np.full((3, 2), 1e300), b1=np.ones(3)),
    "Checkpoints that are no folder": lambda place: fitted(checkpoints=3),
    "A time between checkpoints that is none": lambda place: gl.Checkpoints(place.path, seconds="30"),
    "A number of checkpoints below 1": lambda place: gl.Checkpoints(place.path, keep=0),
    "A file in the place of the checkpoints": lambda place: fitted(checkpoints=place.file("run", "")),
    "Checkpoints of an earlier training": lambda place: (kept(place), kept(place)),
    "To resume without checkpoints": lambda place: fitted(resume=True),
    "To resume with other data": lambda place: (
        kept(place),
        model().fit(X + 1, Y, checkpoints=place.path / "run", resume=True),
    ),
    "To resume with another batch size": lambda place: resumed(place, batch=3),
    "To resume where all checkpoints are damaged": damaged,
    "A checkpoint that cannot be written": unwritten,
    "Two trainings with checkpoints in one folder": Proved("test_resumed_training.py::test_two_trainings_at_once"),
    "A cache directory that is a file": lambda place: cache_in(place, place.file("cache", "")),
    "A cache directory that others can write to": shared,
    "A cache directory without a name": lambda place: gl.set_cache_dir(""),
    "No home to keep kernels in": homeless,
    "Live curves in a folder that does not exist": lambda place: fitted(
        callbacks=[gl.LiveCurves(place.path / "nowhere" / "curves.html")]
    ),
    "A time between pictures that is none": lambda place: gl.LiveCurves("curves.html", seconds=0),
    "A picture of another kind": lambda place: stacked().picture().save(place.path / "net.gif"),
    "A picture in a folder that does not exist": lambda place: stacked().picture().save(place.path / "no" / "net.svg"),
}
