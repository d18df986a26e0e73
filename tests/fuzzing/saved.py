"""Saved files: models, checkpoints, parameters, ONNX, cached modules and machine code, altered or made to harm."""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fuzzing.changed_files import changed, graph, header, rewritten
from fuzzing.choices import Choices
from fuzzing.oracle import CANARY
from fuzzing.target import Target

RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(11, 3)), RNG.normal(size=(11, 2))
CC = (9, 0)


def prepare(folder: Path) -> Target:
    import gradloom as gl
    from gradloom.codegen.generate import generate
    from gradloom.runtime import cache, cubin_files, gradcheck  # noqa: F401 - what is imported later would be watched
    from gradloom.runtime.cuda_driver import DeviceError  # noqa: F401

    net = gl.Sequential([gl.layers.Dense(4, gl.sigmoid), gl.layers.Dense(2)], 3, loss=gl.losses.SquaredError())
    options: dict[str, Any] = {"target": "numpy", "dtype": "float64"}
    fit: dict[str, Any] = {"batch": 3, "optimizer": gl.optimizers.Adam(lr=0.01), "early_stopping": 3, "validation": 0.3}

    def trained(**more: Any) -> Any:
        model = gl.Model(net, seed=1, **options)
        model.fit(X, Y, epochs=2, **fit, **more)
        return model

    first = folder / "first"
    first.mkdir()
    model = trained(checkpoints=gl.Checkpoints(first / "run", seconds=0.0))
    wanted = model.predict(X)
    model.save(first / "model.npz")
    model.save_parameters(first / "parameters.npz")
    model.save_parameters(first / "parameters.safetensors")
    (first / "model.onnx").write_bytes(gl.to_onnx(model).SerializeToString())
    cuda = generate(net, target="cuda", optimizer=gl.optimizers.SGD(lr=0.1)).source
    (first / "kernels.py").write_text(cuda)
    digest = cubin_files.hashlib.sha256  # the digests are those of the files, as `write_cubins` writes them
    about = {"source": digest(cuda.encode()).hexdigest(), "architecture": "sm_90", "compiler": {}, "launch": {}}
    about["kernels"] = {"train": {"file": "kernels.sm_90.train.cubin", "sha256": digest(b"\x7fELF code").hexdigest()}}
    real = {path.name: path.read_bytes() for path in first.iterdir() if path.is_file()}
    kept = sorted((first / "run").glob("*.npz"))
    real["checkpoint"] = kept[-1].read_bytes()
    place, kernels = folder / "saved", folder / "kernels"
    running: list[bool] = []

    def file(choices: Choices, name: str, special: Callable[[Choices, bytes], bytes]) -> Path:
        kind = choices.below(4)
        path = place / name
        if kind == 0:
            content = choices.rest()
        else:
            content = special(choices, real[name]) if kind > 1 else choices.altered(real[name])
        path.write_bytes(choices.altered(content) if kind == 3 and choices.one_in(3) else content)
        return path

    def load(choices: Choices) -> None:
        again = gl.Model.load(file(choices, "model.npz", rewritten), net, "numpy")
        again.predict(X)
        if choices.one_in(4):
            again.fit(X, Y, epochs=1, **fit)

    def checkpoints(choices: Choices) -> None:
        (place / "run").mkdir()
        file(choices, "checkpoint", rewritten).rename(place / "run" / kept[-1].name)
        if choices.one_in(2):
            shutil.copy(kept[0], place / "run" / "checkpoint-000000-000000000001.npz")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            again = gl.Model(net, seed=1, **options)
            again.fit(X, Y, epochs=3, checkpoints=place / "run", resume=True, **fit)

    def parameters(choices: Choices) -> None:
        name, special = choices.pick((("parameters.npz", rewritten), ("parameters.safetensors", header)))
        again = gl.Model(net, **options)
        again.load_parameters(file(choices, name, special))
        again.predict(X)

    def imported(choices: Choices) -> None:
        again = gl.from_onnx(file(choices, "model.onnx", graph), target="numpy", loss=gl.losses.SquaredError())
        if choices.one_in(4):
            again.network.derive().text()
        again.predict(np.zeros((2, *(int(size) for size in again.network.inputs[0].shape[1:]))))

    def machine_code(choices: Choices) -> None:
        """What is loaded is what was written, or nothing."""
        path = file(choices, "kernels.py", lambda choices, content: content)
        source = path.read_text("utf-8", "replace")
        tree = changed(choices, about) if choices.one_in(2) else about
        text = json.dumps(tree, default=str).encode()
        (place / "kernels.sm_90.json").write_bytes(choices.altered(text) if choices.one_in(3) else text)
        code = choices.altered(b"\x7fELF code") if choices.one_in(2) else b"\x7fELF code"
        (place / "kernels.sm_90.train.cubin").write_bytes(code)
        found = cubin_files._finder(path, source)("train", CC)
        if found is not None and found.code != b"\x7fELF code":
            raise AssertionError("machine code was taken that was not written")

    def not_cuda(choices: Choices) -> None:
        """A file of Python that is named is run, as an import runs it; that is no model's, and its errors are told."""
        running.append(True)
        try:
            not_so(choices)
        finally:
            running.pop()

    def not_so(choices: Choices) -> None:
        gl.load_kernels(file(choices, "kernels.py", lambda choices, content: choices.altered(content)))

    def kernel_cache(choices: Choices) -> None:
        """Whatever lies in the cache, what runs is what was generated."""
        files = sorted(
            path for path in kernels.rglob("*") if path.is_file() and path.suffix in (".py", ".made", ".nbi")
        )
        for _ in range(1 + choices.below(3)):
            path = choices.pick(files)
            content = path.read_bytes() if path.exists() else b""
            evil = f"{CANARY}\n".encode()
            path.write_bytes(choices.pick((evil + content, content + evil, evil, b"", choices.altered(content))))
        ours = [name for name in sys.modules if name.startswith(cache.MODULE_PREFIX)]
        for name in [name for name in ours if str(sys.modules[name].__file__).startswith(str(kernels))]:
            del sys.modules[name]
        again = gl.Model(net, seed=1, **options)
        again.params.fill(dict(model.params))
        if not np.array_equal(again.predict(X), wanted):
            raise AssertionError("the cache gave other kernels")

    calls = (load, load, checkpoints, parameters, imported, machine_code, not_cuda, kernel_cache)

    def call(choices: Choices) -> None:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        choices.pick(calls)(choices)

    seeds = [bytes([n, kind, *range(0, 40 * kind, 7)]) for n in range(len(calls)) for kind in range(4)]
    return Target(call, limit=20.0, seeds=seeds, may_run=lambda file: bool(running) and file == "<generated>")
