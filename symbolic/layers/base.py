"""`Layer`, the base of the layers, and what they share: places, names, letters, checks.

A layer has a *place*: 1, 2, … in a `Sequential`. A layer inside of another has the place of that one and its own
number, ``"3_1"``, printed as 3.1; so every name that a layer makes by ending it in its place is taken once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from ..errors import DataError, ShapeError, UndefinedError
from ..indices import Index, a, as_size
from ..network import Network
from ..tensors import Tensor, shape_text

Place: TypeAlias = int | str


class Layer(ABC):
    """Base of the layers; subclasses define `build`.

    Examples
    --------
    A layer that scales each feature:

    >>> import gradloom as gl
    >>> class Scale(gl.layers.Layer):
    ...     def build(self, network, x, place):
    ...         i, j = gl.indices("i j")
    ...         s = self.parameter(network, "s", x.shape[1:], place, init=1)
    ...         return network.define(f"r{place}", (i, j), s[j] * x[i, j])
    """

    @abstractmethod
    def build(self, network: Network, x: Tensor, place: Place) -> Tensor:
        """Add this layer's parameters and equations to `network`.

        Parameters
        ----------
        network : the network so far, which defines `x`
        x : the incoming tensor, batch axis first
        place : 1 for the first layer, "3_1" for the first inside of the third; the layer's names end in it

        Returns
        -------
        The outgoing tensor.
        """

    def parameter(
        self,
        network: Network,
        name: str,
        shape: tuple[Any, ...],
        place: Place,
        *,
        init: Any = None,
        trainable: bool = True,
        latex: str | None = None,
    ) -> Tensor:
        """Declare this layer's parameter `name` + `place`, or return it: a layer used again shares its parameters.

        Raises
        ------
        ShapeError
            If the layer is used again where its parameter would have another shape.
        """
        known = self._made(network)
        if name not in known:
            known[name] = network.parameter(f"{name}{place}", shape, init=init, latex=latex)
            if not trainable:
                network.freeze(known[name].name)
        found = known[name]
        wanted = tuple(as_size(size, f"axis {axis} of {name}{place}") for axis, size in enumerate(shape))
        if found.shape != wanted:
            raise ShapeError(
                f"{type(self).__name__} at place {place} shares {found.name} {shape_text(found.shape)} with an earlier "
                f"place, but here it would have shape {shape_text(wanted)}; give this place a layer of its own"
            )
        return found

    def made_parameter(self, network: Network, name: str) -> Tensor:
        """The parameter `name` that this layer has declared in `network`.

        Raises
        ------
        UndefinedError
            If it has not: the layer stands at no place before, or has no such parameter.
        """
        known = self._made(network)
        if name not in known:
            raise UndefinedError(
                f"{self!r} has declared no parameter {name!r} in {network.name}; it must stand before the layer that "
                "reads it"
            )
        return known[name]

    def _made(self, network: Network) -> dict[str, Tensor]:
        made: WeakKeyDictionary[Network, dict[str, Tensor]]
        made = self.__dict__.setdefault("_parameters", WeakKeyDictionary())
        return made.setdefault(network, {})

    def __repr__(self) -> str:
        options = (f"{name}={value!r}" for name, value in vars(self).items() if not name.startswith("_"))
        return f"{type(self).__name__}({', '.join(options)})"


def build(network: Network, layer: Any, x: Tensor, place: Place, where: str) -> Tensor:
    """What `layer` makes of `x`; `where` names the layer in errors.

    Raises
    ------
    UndefinedError
        If `layer` is no layer, or its `build` returns no tensor.
    """
    if not isinstance(layer, Layer):
        raise UndefinedError(
            f"{where} is {layer!r}, not a layer: expected gl.layers.Dense(…) or a subclass of "
            "gl.layers.Layer; an activation alone goes into gl.layers.Activation(…)"
        )
    made: Any = layer.build(network, x, place)
    if not isinstance(made, Tensor):
        raise UndefinedError(
            f"build() of {layer!r} at place {place} returned {made!r}; expected the outgoing tensor, "
            "which network.define(…) returns"
        )
    return made


def as_flag(value: Any, what: str) -> bool:
    """
    Raises
    ------
    DataError
        If it is neither True nor False.
    """
    if not isinstance(value, int) and type(value).__name__ not in ("bool", "bool_"):  # those of NumPy
        raise DataError(f"{what} is {value!r}; expected True or False")
    return bool(value)


def inside(place: Place, layers: Iterable[Any]) -> Iterator[tuple[Any, str]]:
    """The layers inside of the one at `place`, each with its own place."""
    return ((layer, f"{place}_{number}") for number, layer in enumerate(layers, start=1))


def latex_of(symbol: str, place: Place, below: str = "") -> str:
    """LaTeX of a layer's symbol: ``latex_of("W", "3_1", "q")`` is W with (3.1) above and q below."""
    above = f"{symbol}^{{({str(place).replace('_', '.')})}}"
    return above + (f"_{{{below}}}" if below else "")


def letters(network: Network, wanted: str) -> tuple[Index, ...]:
    """One index per letter of `wanted`; one that names a tensor or a size of the network is replaced by another."""
    taken = set(network.tensors) | {s.name for t in network.tensors.values() for d in t.shape for s in d.free_symbols}
    made: list[str] = []
    for letter in wanted:
        spare = (other for other in "ijklmnpqrsuvw" if other not in wanted and other not in taken and other not in made)
        made.append(letter if letter not in taken else next(spare))
    return tuple(Index(letter) for letter in made)


def axis_letters(rank: int, last: str) -> str:
    """The letters of a tensor of this rank: i for the batch, `last` for its last axes, t, u, … between them."""
    return ("i" + "tuvw"[: max(rank - 1 - len(last), 0)] + last)[:rank]


def needs_axes(x: Tensor, least: int, layer: Layer, place: Place, most: int | None = None) -> None:
    """Check that the incoming tensor has at least `least` axes (and at most `most`), batch first.

    Raises
    ------
    ShapeError
    """
    if x.rank < least or (most is not None and x.rank > most):
        number = f"{least}" if least == most else f"at least {least}" if most is None else f"{least} to {most}"
        sample = "(784,)" if least <= 2 else "(12, 64)"
        raise ShapeError(
            f"{type(layer).__name__} at place {place} takes a tensor of {number} axes, batch first, "
            f"but {x.name} has shape {shape_text(x.shape)}; give input_shape the size of a sample, such as {sample}"
        )


def mask_input(layer: Any, network: Network, x: Tensor, place: Place) -> Tensor | None:
    """The input that says which steps of `x` count, ``layer.mask`` by name: declared here unless it is already.

    Raises
    ------
    ShapeError
        If the name is taken by something else.
    """
    if layer.mask is None:
        return None
    shape = x.shape[:2]
    seen = network.tensors.get(layer.mask) or network.input(layer.mask, shape)
    if seen.role != "input" or seen.shape != shape or seen.classes is not None:
        raise ShapeError(
            f"{type(layer).__name__} at place {place} takes a mask of shape {shape_text(shape)}, an input of numbers, "
            f"but {layer.mask} is {a(seen.role)} of shape {shape_text(seen.shape)}; name another, or one not yet taken"
        )
    return seen
