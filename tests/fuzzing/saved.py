"""Saved files: models, checkpoints, parameters, ONNX, cached modules and machine code, altered or made to harm."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import struct
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fuzzing.choices import Choices
from fuzzing.oracle import CANARY, PAYLOADS
from fuzzing.target import Target

RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(11, 3)), RNG.normal(size=(11, 2))
CC = (9, 0)


class Pickled:
    """Runs code where it is unpickled."""

    def __reduce__(self) -> Any:
        return sys.audit, ("canary",)


def value(choices: Choices, depth: int = 2) -> Any:
    """What JSON can hold, mostly of a wrong type."""
    plain = (
        None,
        True,
        False,
        -1,
        0,
        3,
        2**63,
        10**400,
        1e308,
        -0.5,
        "",
        "float64",
        "numpy",
        "cuda",
        "../../x",
        *PAYLOADS,
    )
    kind = choices.below(8)
    if kind == 0 and depth:
        return [value(choices, depth - 1) for _ in range(choices.below(4))]
    if kind == 1 and depth:
        return {str(choices.pick(plain)): value(choices, depth - 1) for _ in range(choices.below(4))}
    if kind == 2:
        return choices.number()
    return choices.text() if kind == 3 else choices.pick(plain)


def changed(choices: Choices, tree: Any) -> Any:
    """A copy of what JSON held, with something in it replaced, left out or added."""
    if isinstance(tree, dict) and tree and not choices.one_in(4):
        key = choices.pick(sorted(tree))
        return {**tree, key: changed(choices, tree[key])}
    if isinstance(tree, dict):
        kept = {key: entry for key, entry in tree.items() if not choices.one_in(6)}
        return {**kept, choices.pick(("n", "W1", choices.text())): value(choices)} if choices.one_in(2) else kept
    if isinstance(tree, list) and tree and not choices.one_in(3):
        at = choices.below(len(tree))
        return [*tree[:at], changed(choices, tree[at]), *tree[at + 1 :]]
    return value(choices)


def rewritten(choices: Choices, content: bytes) -> bytes:
    """An archive with members changed: their text, their arrays, their names."""
    arrays = {name: array for name, array in np.load(io.BytesIO(content)).items()}
    for _ in range(1 + choices.below(3)):
        name = choices.pick(sorted(arrays) or ["about"])
        kind = choices.below(6)
        found: Any = arrays.get(name, np.zeros(0, np.uint8))
        if kind < 3 and "about" in arrays:
            try:
                about = changed(choices, json.loads(bytes(arrays["about"])))
                text = (
                    json.dumps(about).encode()
                    if kind
                    else choices.pick((b"[" * 99999, b'{"a":' * 9999, b"1" * 9999, b"\xff"))
                )
            except (ValueError, RecursionError, UnicodeError):
                continue
            arrays["about"] = np.frombuffer(text, np.uint8)
        elif kind == 3:
            arrays[name] = choices.pick((lambda: found.astype("f2"), lambda: found.astype(object), lambda: found[..., None],
                                         lambda: found[:0], lambda: found.astype("c16"), lambda: found.astype("U3"),
                                         lambda: np.full_like(found, 255) if found.dtype.kind in "ui" else found * np.nan,
                                         lambda: np.full((2,), Pickled(), object), lambda: found.astype(">f8"),
                                         lambda: np.zeros(found.shape, "V0"), lambda: np.asarray(3.0)))() if found.ndim else found  # fmt: skip
        elif kind == 4:
            arrays.pop(name, None)
        else:
            arrays[choices.pick(("run.0.best", "run.x", "parameter.W1", "state", "../up", choices.text()))] = found
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.save(member, array, allow_pickle=True)
            try:
                archive.writestr(f"{name}.npy", pickle.dumps(Pickled()) if choices.one_in(40) else member.getvalue())
            except (ValueError, UnicodeError, IndexError):
                continue
    return buffer.getvalue()


def header(choices: Choices, content: bytes) -> bytes:
    """A file of safetensors with another header."""
    length = struct.unpack("<Q", content[:8])[0]
    try:
        text = json.dumps(changed(choices, json.loads(content[8 : 8 + length]))).encode()
    except (ValueError, UnicodeError):
        text = b"[" * 9999
    size = choices.pick((len(text), len(text), len(text), 2**63, 2**31, 0, len(text) + 1))
    return struct.pack("<Q", size) + text + content[8 + length :]


def graph(choices: Choices, content: bytes) -> bytes:
    """An ONNX model with fields that say something else."""
    import onnx

    model = onnx.ModelProto.FromString(content)
    messages: list[Any] = [
        model.graph,
        *model.graph.node,
        *model.graph.initializer,
        *model.graph.input,
        *model.opset_import,
    ]
    messages += [attribute for node in model.graph.node for attribute in node.attribute]
    messages += [size for given in model.graph.input for size in given.type.tensor_type.shape.dim]
    for _ in range(1 + choices.below(4)):
        message = choices.pick(messages)
        field = choices.pick(message.DESCRIPTOR.fields)
        odd = choices.pick(
            (choices.number(), choices.text(), 0.5, b"", "Gemm", "Conv", "Relu", "/etc/passwd", *PAYLOADS)
        )
        try:
            if choices.one_in(3):
                message.ClearField(field.name)
            elif isinstance(getattr(message, field.name), int | float | str | bytes):
                setattr(message, field.name, odd)
            else:
                getattr(message, field.name).append(odd)
        except (TypeError, ValueError, AttributeError, UnicodeError):
            continue
    return model.SerializeToString()


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
