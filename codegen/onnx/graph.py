"""`Graph`: the nodes, constants and names of an ONNX graph that is being built, each thing once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...symbolic.errors import MissingExtraError

OPSET = 18  # the first whose reductions all take their axes as an input
IR_VERSION = 9  # what was current with it: runtimes refuse files that say they are newer than they know


def load_onnx() -> Any:
    """The package onnx.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise MissingExtraError('ONNX files need the package onnx: pip install "gradloom[onnx]"') from None
    return onnx


class Graph:
    """The graph of a model, and those of the loops in it.

    Parameters
    ----------
    dtype : of real numbers, "float32" or "float64"

    Attributes
    ----------
    note : the equation that nodes are made for; each node carries it as its documentation
    """

    def __init__(self, dtype: str) -> None:
        self.onnx = load_onnx()
        self.dtype = np.dtype(dtype)
        self.initializers: dict[str, NDArray[Any]] = {}
        self.note = ""
        self._scopes: list[list[Any]] = [[]]
        self._known: list[dict[Any, str]] = [{}]  # of each scope, what was made already
        self._constants: dict[Any, str] = {}
        self._names: set[str] = set()
        self._own: set[str] = set()  # names that `node` gave: those of tensors are not changed

    @property
    def nodes(self) -> list[Any]:
        """Those of the graph that is being built."""
        return self._scopes[-1]

    def unused(self, base: str) -> str:
        """`base`, or with a number behind it: a name that nothing in the graph has."""
        name, count = base, 1
        while name in self._names:
            count += 1
            name = f"{base}_{count}"
        self._names.add(name)
        return name

    def node(self, kind: str, inputs: Sequence[str], outputs: int = 1, **attributes: Any) -> str:
        """The name of what an operator makes; one with the same inputs is not made again."""
        key = (kind, tuple(inputs), repr(sorted(attributes.items())))
        for known in self._known:
            if key in known:
                return known[key]
        name = self.unused(kind.lower())
        self._own.add(name)
        self.nodes_of(kind, inputs, [name], attributes)
        return self._known[-1].setdefault(key, name)

    def nodes_of(self, kind: str, inputs: Sequence[str], names: Sequence[str], attributes: Any) -> Sequence[str]:
        """Add a node whose outputs have these names."""
        made = self.onnx.helper.make_node(
            kind, list(inputs), list(names), name=f"{kind}:{names[0]}", doc_string=self.note, **attributes
        )
        self.nodes.append(made)
        return names

    def constant(self, value: Any, dtype: Any = np.int64) -> str:
        """The name of a constant array; loops see those of the model."""
        array = np.asarray(value, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self.unused("constant")
            self.initializers[self._constants[key]] = array
        return self._constants[key]

    def real(self, value: float) -> str:
        return self.constant(value, self.dtype)

    def kind(self, dtype: Any) -> int:
        """ONNX's number of a type."""
        return int(self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def cast(self, name: str, dtype: Any) -> str:
        return self.node("Cast", [name], to=self.kind(dtype))

    def called(self, name: str, wanted: str) -> str:
        """`name` under the name `wanted`, a tensor's: changed where the last node has it from here."""
        last = self.nodes[-1] if self.nodes else None
        if last is None or list(last.output) != [name] or name not in self._own:
            self.nodes_of("Identity", [name], [wanted], {})
            return wanted
        last.output[0], last.name = wanted, f"{last.op_type}:{wanted}"
        self._known[-1] = {key: wanted if found == name else found for key, found in self._known[-1].items()}
        return wanted

    @contextmanager
    def inside(self) -> Iterator[list[Any]]:
        """A graph inside of the one that is being built: that of a loop; it sees all that stands before it."""
        self._scopes.append([])
        self._known.append({})
        try:
            yield self._scopes[-1]
        finally:
            self._scopes.pop()
            self._known.pop()
