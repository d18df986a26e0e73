"""Saved files that were changed: archives, headers of safetensors and graphs of ONNX that say something else."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import struct
import sys
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from fuzzing.choices import Choices
from fuzzing.oracle import PAYLOADS


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


# What may become of an array of a file.
STRANGE: tuple[Callable[[Any], Any], ...] = (
    *[lambda array, kind=kind: array.astype(kind) for kind in ("f2", "c16", "U3", ">f8", "i4", object)],
    lambda array: array[..., None],
    lambda array: array.ravel()[:0],
    lambda array: np.full_like(array, 255) if array.dtype.kind in "ui" else array * np.nan,
    lambda array: np.full((2,), Pickled(), object),
    lambda array: np.zeros(array.shape, "V0"),
    lambda array: np.asarray(3.0),
)


def rewritten(choices: Choices, content: bytes) -> bytes:
    """An archive with members changed: their text, their arrays, their names."""
    arrays = dict(np.load(io.BytesIO(content)))
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
            with contextlib.suppress(TypeError, ValueError):  # of what was changed before
                arrays[name] = choices.pick(STRANGE)(found)
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
