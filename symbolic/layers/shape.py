"""Layers that only move entries: `Flatten`, `Reshape`, `Permute`, `Slice`, and `Parallel`, which concatenates.

Each is an index equation: what stands at each outgoing place. The functions `reshape`, `flatten`, `permute`, `take` and
`concatenate` add the same equations to a network that is no `Sequential`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sympy
from sympy import Expr, Integer, Mod, Mul

from ..arguments import as_list
from ..errors import ShapeError
from ..guards import inside, padded
from ..indices import as_size
from ..network import Network
from ..ranges import is_never_negative, quotient
from ..tensors import Tensor, shape_text
from .base import Layer, Place, axis_letters, build, letters, needs_axes
from .base import inside as inside_of


def reshape(network: Network, x: Tensor, shape: Any, name: str, note: str = "") -> Tensor:
    """Define `name` of the entries of x, in their order, batch axis unchanged: ``y[i, j] = x[i, j // n, j % n]``.

    Parameters
    ----------
    shape : the shape of a sample; one of its sizes may be -1 for what is left.

    Raises
    ------
    ShapeError
        If x has another number of entries, or cannot be divided so that -1 comes out whole.
    """
    needed = Mul(*x.shape[1:])
    sizes = [*shape] if isinstance(shape, tuple | list) else [shape]
    if sizes.count(-1) == 1:
        known = Mul(*(as_size(size, f"shape of {name}") for size in sizes if size != -1))
        sizes[sizes.index(-1)] = sympy.cancel(needed / known)
        if not sympy.cancel(needed / known).is_integer:
            raise ShapeError(f"{name}: {x.name} {shape_text(x.shape)} cannot be divided into shape {shape_text(shape)}")
    made = [as_size(size, f"axis {axis} of the shape of {name}") for axis, size in enumerate(sizes)]
    if sympy.expand(Mul(*made) - needed) != 0:
        raise ShapeError(
            f"{name}: {x.name} has shape {shape_text(x.shape)}, so {needed} entries for each sample, but shape "
            f"{shape_text(made)} has {Mul(*made)}; -1 in the place of one size stands for what is left"
        )
    # A place j is taken apart by these steps, and ⌊j/(H - 2)⌋ has no meaning where H - 2 may be 0.
    steps = [*x.shape[2:], *(made[1:] if len(made) > 1 else ())]
    unknown = next((size for size in steps if not size.is_positive), None)
    if unknown is not None and made != list(x.shape[1:]):
        symbols = sorted(symbol.name for symbol in unknown.free_symbols)
        raise ShapeError(
            f"{note or name}: {x.name} {shape_text(x.shape)} has an axis of size {unknown}, which is positive for some "
            f"{' and '.join(symbols)} alone, and cannot be joined with others while {', '.join(symbols)} "
            f"{'is a symbol' if len(symbols) == 1 else 'are symbols'}: give numbers for all sizes of the input that "
            "are made smaller, as in input_shape=(3, 28, 28), or pool over the axes (gl.layers.GlobalAveragePool)"
        )
    i, *at = letters(network, axis_letters(len(made) + 1, "j"))
    flat: Expr = Integer(0)
    for index, size in zip(at, made, strict=True):
        flat = flat * size + index
    places: list[Expr] = []
    step: Expr = Integer(1)
    for size in reversed(x.shape[1:]):
        digit = quotient(sympy.expand(flat), step)
        step *= size
        places.insert(0, digit if step == needed else Mod(digit, size))
    return network.define(name, (i, *at), x[(i, *places)], shape=(x.shape[0], *made), note=note)


def flatten(network: Network, x: Tensor, name: str, note: str = "") -> Tensor:
    """Define `name` of the entries of x, all axes but the batch as one."""
    return reshape(network, x, (-1,), name, note)


def permute(network: Network, x: Tensor, order: Sequence[int], name: str, note: str = "") -> Tensor:
    """Define `name` with the axes of x in another order: axis n of it is axis ``order[n]`` of x; the batch stays first.

    Raises
    ------
    ShapeError
        If `order` does not hold each axis but the batch once.
    """
    if len(order) != x.rank - 1 or any(axis not in order for axis in range(1, x.rank)):
        raise ShapeError(
            f"{name}: order {tuple(order)} does not hold each of the axes 1 to {x.rank - 1} of {x.name} "
            f"{shape_text(x.shape)} once; axis 0 is the batch and stays"
        )
    where = letters(network, axis_letters(x.rank, "j"))
    read = {axis: where[place] for place, axis in enumerate([0, *order])}
    return network.define(name, where, x[tuple(read[axis] for axis in range(x.rank))], note=note)


def take(network: Network, x: Tensor, axis: int, start: Any, stop: Any, step: int, name: str, note: str = "") -> Tensor:
    """Define `name` of every `step`-th place of an axis of x, from `start` up to `stop`: ``y[i, j] = x[i, a + s j]``.

    Raises
    ------
    ShapeError
        If nothing is left, if it reads beyond the axis, or if `axis` is no axis but the batch.
    """
    axis = _axis(axis, x, name)
    size = x.shape[axis]
    first, last = (size + end if _is_negative(end) else sympy.sympify(end) for end in (start, stop))
    if isinstance(step, bool) or not isinstance(step, int) or step < 1:
        raise ShapeError(f"{name}: the step is {step!r}; expected a whole number of at least 1")
    length = quotient(last - first + step - 1, Integer(step))
    inside_axis = is_never_negative(first) and is_never_negative(size - last)
    if not inside_axis or (last - first).is_nonpositive:
        raise ShapeError(
            f"{name}: places {start} to {stop} are not known to be a part of axis {axis} of {x.name} "
            f"{shape_text(x.shape)}; expected 0 ≤ start < stop ≤ its size, and a number for the size where they are "
            "numbers above 1"
        )
    where = letters(network, axis_letters(x.rank, "j"))
    read = [*where]
    read[axis] = first + step * where[axis]
    shape = [*x.shape]
    shape[axis] = length
    # An index that runs over the first places alone must say so: a plain one runs over the whole axis.
    body = x[tuple(read)] * (inside(where[axis], length) if read[axis] == where[axis] else 1)
    return network.define(name, where, body, shape=tuple(shape), note=note)


def concatenate(network: Network, tensors: Iterable[Tensor], axis: int, name: str, note: str = "") -> Tensor:
    """Define `name` of tensors one behind the other along an axis: ``z[i, j] = x[i, j] [j < n] + y[i, j - n] [n ≤ j]``.

    Raises
    ------
    ShapeError
        If there is no tensor, or two differ in another axis.
    """
    parts = list(tensors)
    if not parts:
        raise ShapeError(f"{name}: there is nothing to concatenate")
    axis = _axis(axis, parts[0], name)
    rest = [(*part.shape[:axis], *part.shape[axis + 1 :]) for part in parts]
    for part, sizes in zip(parts, rest, strict=True):
        if sizes != rest[0] or part.rank != parts[0].rank:
            raise ShapeError(
                f"{name}: {parts[0].name} {shape_text(parts[0].shape)} and {part.name} {shape_text(part.shape)} differ "
                f"in another axis than {axis}, along which they are concatenated"
            )
    where = letters(network, axis_letters(parts[0].rank, "j"))
    body, before = Integer(0), Integer(0)
    for part in parts:
        read = [*where]
        read[axis] = where[axis] - before
        element = padded(part[tuple(read)])
        # padded() takes a plain index to be inside; of the first part it runs further.
        body += element if before != 0 else element * inside(where[axis], part.shape[axis])
        before += part.shape[axis]
    shape = [*parts[0].shape]
    shape[axis] = before
    return network.define(name, where, body, shape=tuple(shape), note=note)


class Reshape(Layer):
    """The same entries in another shape; see `reshape`.

    Parameters
    ----------
    shape : the shape of a sample, without the batch axis; one of its sizes may be -1 for what is left.
    """

    def __init__(self, shape: Any) -> None:
        self.shape = shape

    def build(self, network: Network, x: Tensor, place: Place) -> Tensor:
        return reshape(network, x, self.shape, f"z{place}", f"Reshape, layer {place}")


class Flatten(Layer):
    """All axes but the batch as one, as between convolutions and dense layers; see `reshape`."""

    def build(self, network: Network, x: Tensor, place: Place) -> Tensor:
        needs_axes(x, 2, self, place)
        return x if x.rank == 2 else flatten(network, x, f"z{place}", f"Flatten, layer {place}")


class Permute(Layer):
    """The axes in another order; see `permute`. ``Permute(2, 1)`` makes (B, n, T) of (B, T, n)."""

    def __init__(self, *order: int) -> None:
        self.order = order

    def build(self, network: Network, x: Tensor, place: Place) -> Tensor:
        return permute(network, x, self.order, f"z{place}", f"Permute, layer {place}")


class Slice(Layer):
    """A part of an axis; see `take`.

    Parameters
    ----------
    axis : 1 for the first one after the batch; negative ones count from the last.
    start, stop : the first place and the one behind the last; negative ones count from the end, None for all.
    step : how far places are apart.
    """

    def __init__(self, axis: int, start: Any = 0, stop: Any = None, step: int = 1) -> None:
        self.axis, self.start, self.stop, self.step = axis, start, stop, step

    def build(self, network: Network, x: Tensor, place: Place) -> Tensor:
        stop = x.shape[_axis(self.axis, x, f"z{place}")] if self.stop is None else self.stop
        note = f"Slice, layer {place}"
        return take(network, x, self.axis, self.start, stop, self.step, f"z{place}", note)


class Parallel(Layer):
    """Layers side by side on the same input, and what they give one behind the other along an axis.

    Parameters
    ----------
    layers : the layers; at place 3 they have the places 3_1, 3_2, …
    axis : the axis along which what comes out is concatenated; see `concatenate`.
    """

    def __init__(self, layers: Iterable[Layer], axis: int = -1) -> None:
        self.layers = as_list(layers, "Parallel: layers", "layers in a list")
        self.axis = axis

    def build(self, network: Network, x: Tensor, place: Place) -> Tensor:
        made = [
            build(network, layer, x, own, f"layers[{number}] of {type(self).__name__} at place {place}")
            for number, (layer, own) in enumerate(inside_of(place, self.layers))
        ]
        return concatenate(network, made, self.axis, f"z{place}", f"{type(self).__name__}, layer {place}")


def _axis(axis: Any, x: Tensor, name: str) -> int:
    if isinstance(axis, bool) or not isinstance(axis, int) or not (-x.rank < axis < x.rank) or axis == 0:
        raise ShapeError(
            f"{name}: axis {axis!r} is none of the axes 1 to {x.rank - 1} of {x.name} {shape_text(x.shape)}; axis 0 is "
            "the batch"
        )
    return axis % x.rank


def _is_negative(end: Any) -> bool:
    return bool(sympy.sympify(end).is_negative)
