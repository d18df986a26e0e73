"""Calls of a user's function at a point of the network: its arguments by name, its results by theirs."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...tensors import Tensor
from ..deciding.point import Point
from ..errors import UnknownNameError
from .python_layout import ArrayLayout
from .python_names import AmbiguousNameError, Meant, Names
from .python_source import UserCodeError, UserFunction, guarded


class MissingNameError(UnknownNameError, KeyError):
    """A key that the mapping of all tensors does not have."""

    __str__ = Exception.__str__


class Given:
    """The arrays of one point in one layout: fresh copies, and a note of which were read."""

    def __init__(self, point: Point, layout: ArrayLayout, names: Names) -> None:
        self.point, self.layout, self.names = point, layout, names
        self.read: dict[Tensor, Any] = {}
        self.handed: list[tuple[str, Any, Any]] = []  # name, array, and a copy of it

    def tensor(self, name: str, tensor: Tensor) -> Any:
        network = self.names.network
        known = self.point.read(tensor)
        array = np.array(self.layout.show(tensor, known, network), order="C")
        self.read[tensor] = known
        if array.ndim == 0:
            return array[()]
        self.handed.append((name, array, array.copy()))
        return array

    def meant(self, name: str, meant: Meant) -> Any:
        if meant.kind == "mapping":
            return Cache(self, name)
        return self.point.size(meant.what) if meant.kind == "size" else self.tensor(name, meant.tensor)

    def changed(self) -> list[str]:
        """The names of the arrays that are not what they were."""
        return [name for name, array, before in self.handed if not np.array_equal(array, before)]


class Cache(Mapping[str, Any]):
    """All tensors, gradients and sizes by name: what a parameter ``cache`` is."""

    def __init__(self, given: Given, name: str) -> None:
        self._given, self._name = given, name
        self._made: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        if key not in self._made:
            names = self._given.names
            meant = names.argument(key) if isinstance(key, str) else None
            if meant is None or meant.kind == "mapping":
                raise MissingNameError(f"{self._name}[{key!r}]: there is no such name; there are {names.known()}")
            self._made[key] = self._given.meant(key, meant)
        return self._made[key]

    def __iter__(self) -> Iterator[str]:
        tensors = self._given.names.network.tensors.values()
        grads = self._name.startswith("grad")
        return iter([f"d_{t.name}" if grads else t.name for t in tensors if not grads or t.classes is None])

    def __len__(self) -> int:
        return len(list(iter(self)))


@dataclass(frozen=True)
class Result:
    """One array that a function returned.

    Attributes
    ----------
    label : its name in the code
    tensor : what that is: a tensor of the network or an `Adjoint`
    array : None where it is no array; `problem` says why
    """

    label: str
    tensor: Tensor | None
    array: Any = None
    problem: str = ""


@dataclass
class Called:
    """What came of one call.

    Attributes
    ----------
    results : what it returned
    read : the tensors that it was given
    changed : the arguments that it changed in place
    notes : what was taken for granted
    """

    results: list[Result]
    read: dict[Tensor, Any]
    changed: list[str]
    notes: list[str] = field(default_factory=list)


def call(function: UserFunction, point: Point, layout: ArrayLayout, names: Names) -> Called:
    """Call `function` at a point.

    Raises
    ------
    UnknownNameError
        If a parameter or a result is no name of the network.
    UserCodeError
        If it raises an error, or returns nothing.
    """
    given = Given(point, layout, names)
    arguments: list[Any] = []
    by_name: dict[str, Any] = {}
    for parameter in function.parameters:
        value = _argument(function, parameter, given)
        if value is inspect.Parameter.empty:
            continue
        if parameter.kind == parameter.KEYWORD_ONLY or by_name:
            by_name[parameter.name] = value
        elif parameter.kind == parameter.POSITIONAL_ONLY or len(arguments) == function.parameters.index(parameter):
            arguments.append(value)
        else:
            by_name[parameter.name] = value
    with np.errstate(all="ignore"):
        made = guarded(function.file, function.signature(), lambda: function.call(*arguments, **by_name))
    notes: list[str] = []
    results = _results(function, made, names, notes)
    return Called(results, given.read, given.changed(), notes)


def _argument(function: UserFunction, parameter: inspect.Parameter, given: Given) -> Any:
    names, name = given.names, parameter.name
    apart = function.unpacked(name)
    if apart is not None and (name not in names.network.tensors):
        return tuple(given.meant(part, _known(function, part, names, f"{name} is taken apart into")) for part in apart)
    try:
        meant = names.argument(name)
    except AmbiguousNameError:
        if parameter.default is not parameter.empty:
            return parameter.empty
        raise
    if meant is None and parameter.default is not parameter.empty:
        return parameter.empty
    return given.meant(name, meant or _known(function, name, names, "its parameter"))


def _known(function: UserFunction, name: str, names: Names, where: str) -> Meant:
    meant = names.argument(name)
    if meant is None:
        raise UnknownNameError(
            f"{function.signature()}: {where} {name} is no name of {names.network.name}; "
            f"there are {names.known()}, and cache, a mapping of all of them"
        )
    return meant


def _results(function: UserFunction, made: Any, names: Names, notes: list[str]) -> list[Result]:
    if made is None:
        raise UserCodeError(f"{function.signature()} returned None: is there a return?")
    if isinstance(made, Mapping):
        return [result for key, value in made.items() for result in _named(str(key), value, names)]
    own = names.output(function.name)
    if own is not None and not isinstance(made, tuple):
        return [_array(function.name, own, made)]
    parts = list(made) if isinstance(made, tuple | list) and not _is_numbers(made) else [made]
    called = function.returned
    if called is not None and len(called) == len(parts) and any(_is_known(name, names) for name in called):
        return [result for name, part in zip(called, parts, strict=True) for result in _named(name, part, names)]
    parameters = names.network.parameters
    if len(parts) == len(parameters):
        order = [names.gradient(tensor) for tensor in parameters]
        notes.append(f"what is returned is taken for {', '.join(t.name for t in order)}, in this order")
        return [_array(t.name, t, part) for t, part in zip(order, parts, strict=True)]
    what = "one array" if len(parts) == 1 else f"{len(parts)} arrays"
    raise UnknownNameError(
        f"{function.signature()} returns {what}, and nothing says of what: name it for what it returns, as in "
        f"d{names.network.parameters[0].name if parameters else 'x'}, or return a dict {{'dW1': …}}; there are "
        f"{names.known()}"
    )


def _is_known(name: str, names: Names) -> bool:
    try:
        return names.output(name) is not None or bool(names.series(name))
    except AmbiguousNameError:
        return bool(names.series(name))


def _is_numbers(made: Any) -> bool:
    """Whether a list is an array written as lists of numbers."""
    return isinstance(made, list) and all(isinstance(part, int | float | list) for part in made)


def _named(label: str, value: Any, names: Names) -> list[Result]:
    """One result, or those of a list with one array per layer."""
    series = names.series(label)
    if isinstance(value, list | tuple) and len(value) == len(series) and len(series) > 0:
        return [_array(f"{label}[{n}]", t, part) for n, (t, part) in enumerate(zip(series, value, strict=True))]
    try:
        tensor = names.output(label)
    except AmbiguousNameError as error:
        return [Result(label, None, problem=str(error))]
    if tensor is None:
        return [Result(label, None, problem=f"{label} is no name of {names.network.name}; there are {names.known()}")]
    return [_array(label, tensor, value)]


def _array(label: str, tensor: Tensor, value: Any) -> Result:
    if value is None:
        return Result(label, tensor, problem=f"{label} is None")
    try:
        array = np.asarray(value)
    except Exception as error:
        return Result(label, tensor, problem=f"{label} is no array: {error}")
    if array.dtype == object:
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError):
            return Result(label, tensor, problem=f"{label} is no array of numbers: it is a {type(value).__name__}")
    if np.iscomplexobj(array):
        return Result(label, tensor, problem=f"{label} has complex numbers; the correct ones are real")
    if array.dtype.kind not in "fiub":
        return Result(label, tensor, problem=f"{label} is no array of numbers: its entries are of {array.dtype}")
    return Result(label, tensor, array.copy())


__all__ = ["Cache", "Called", "Given", "Result", "UserCodeError", "call"]
