"""Recurrences keep no more steps than are read: what a step alone reads of itself has no axis of time.

The sums before an activation, the products that they are made of and the gradients that only lead to others live for
one step each. They are written over in the next one, and stay in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any

from sympy import Indexed

from ..symbolic.tensors import Tensor, element_of, indices_of, tensor_of
from .names import Names
from .ops import Contraction, Op, Scan, Steps

NONE: Mapping[Any, Any] = MappingProxyType({})


def without_time(
    parts: Sequence[Sequence[Steps]], handed_out: Iterable[Tensor], names: Names
) -> tuple[list[list[Steps]], dict[Tensor, Tensor]]:
    """The same ops, and which tensor stands for which; `handed_out` stay as they are. The new ones keep their names."""
    kept = set(handed_out)
    every = [op for part in parts for op in flat(part)]
    reads: dict[Tensor, list[tuple[Op, Any]]] = {}
    for op in every:
        for element in op.reads:
            reads.setdefault(tensor_of(element), []).append((op, element))
    axes: dict[Tensor, int] = {}
    for scan in (scan for part in parts for scan in scans_of(part)):
        inside = set(map(id, scan.ops))
        for op in scan.ops:
            tensor, places = op.tensor, list(indices_of(op.target))
            if tensor in kept or tensor.rank < 2 or scan.time not in places:
                continue
            axis = places.index(scan.time)
            if all(id(r) in inside and indices_of(e)[axis] == scan.time for r, e in reads.get(tensor, ())):
                axes[tensor] = axis
    made: dict[Tensor, Tensor] = {}
    for tensor, axis in axes.items():
        shape = (*tensor.shape[:axis], *tensor.shape[axis + 1 :])
        made[tensor] = Tensor(tensor.name, shape, tensor.role, classes=tensor.classes)
        names.hand_over(tensor, made[tensor])

    def of_step(tensor: Tensor, places: tuple[Any, ...]) -> Any:
        axis = axes.get(tensor)
        return element_of(tensor, places) if axis is None else made[tensor][(*places[:axis], *places[axis + 1 :])]

    return [[op if isinstance(op, Op) else rewritten(op, of_step) for op in part] for part in parts], made


def scans_of(ops: Iterable[Any]) -> Iterable[Scan]:
    """The recurrences, those in segments too."""
    for op in ops:
        if isinstance(op, Scan):
            yield op
        elif not isinstance(op, Op):
            yield from scans_of(op.ops)


def flat(ops: Iterable[Any]) -> Iterable[Op]:
    """The ops, those of recurrences too."""
    for op in ops:
        if isinstance(op, Op):
            yield op
        else:
            yield from flat(op.ops)


def rewritten(op: Any, element: Callable[[Tensor, tuple[Any, ...]], Any], names: Mapping[Any, Any] = NONE) -> Any:
    """An op, or a recurrence, that says `element(tensor, places)` for every element, and other names for indices."""
    if not isinstance(op, Op):
        return replace(op, ops=tuple(rewritten(part, element, names) for part in op.ops))

    def walk(node: Any) -> Any:
        if isinstance(node, Indexed):
            return element(tensor_of(node), tuple(map(walk, node.indices)))
        if isinstance(node, Tensor) or not node.args:
            return names.get(node, node)
        return node.func(*map(walk, node.args))

    parts = {f.name: getattr(op, f.name) for f in fields(op) if f.name in ("target", "body", "left", "right")}
    made: dict[str, Any] = {name: walk(part) for name, part in parts.items()}
    if isinstance(op, Contraction):
        made["when"] = tuple(map(walk, op.when))
    return replace(op, **made)
