"""What cost models decide of the kernels, and users may decide instead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..symbolic.errors import SizeError, UndefinedError, UnsupportedError

WAYS = ("outer", "outer packed", "outer packed twice", "dot", "loops")
EPOCHS, WORKSPACES, SUMS = ("unrolled", "calls"), ("apart", "shared"), ("whole", "halves")
SCATTERS = ("ordered", "fast")
# What can be chosen of each target; "ordered" is what every target does where nothing else is said.
OFFERED = {"cpu": ("epoch", "workspace", "sums", "products"), "cuda": ("scatter",)}


@dataclass(frozen=True)
class KernelSchedule:
    """How the compiled targets compute; what is None, or not named, is chosen by size and shape.

    Target "cpu" offers `epoch`, `workspace`, `sums` and `products`, target "cuda" `scatter`.

    Parameters
    ----------
    epoch : "unrolled", one straight-line function with the parameters in local variables, as the tiniest networks have
        it, or "calls", of forward, backward and update
    workspace : "apart", a place for each tensor, so that threads seldom wait for each other, or "shared", one place for
        tensors that are never needed together, which takes less memory
    sums : "halves", gradients that are sums over the batch are summed up by halves of it, each by the threads that made
        its rows, or "whole", the batch from its first row to its last; with checkpoints they always are
    products : by the name, in the generated module, of what a product makes ("z1", "d_W1"), or "*" for all others:
        "outer", vectors along an index of the result; "outer packed", the same from a copy of the right operand, a
        panel at a time; "outer packed twice", from copies of both operands; "dot", vectors along what is summed over;
        "loops", no blocks of registers
    scatter : how sums are computed into places that only data know, as the gradient of an embedding's table is:
        "ordered" (the default, and the only one of target "cpu"), in the order of the data, the same bits in every run;
        or "fast", every thread adds at once, by atomic additions, whose order the GPU decides: **the last bits differ
        from run to run**

    Raises
    ------
    UnsupportedError
        If a choice is none of these.

    Examples
    --------
    >>> import gradloom as gl
    >>> net = gl.Sequential([gl.layers.Dense(3), gl.layers.Dense(2)], (5,), loss=gl.losses.SquaredError())
    >>> program = net.compile(schedule=gl.KernelSchedule(products={"z1": "dot", "d_W1": "loops"}))
    """

    epoch: str | None = None
    workspace: str | None = None
    sums: str | None = None
    products: Mapping[str, str] = field(default_factory=dict)
    scatter: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.products, Mapping):
            raise UndefinedError(f"products is {self.products!r}; expected a mapping of names to ways")
        for name, value, offered in [
            ("epoch", self.epoch, (None, *EPOCHS)),
            ("workspace", self.workspace, (None, *WORKSPACES)),
            ("sums", self.sums, (None, *SUMS)),
            ("scatter", self.scatter, (None, *SCATTERS)),
            *((f"products[{name!r}]", way, WAYS) for name, way in dict(self.products).items()),
        ]:
            if value not in offered:
                known = ", ".join(repr(one) for one in offered if one)
                raise UnsupportedError(f"{name} is {value!r}; choose from {known}")

    def way(self, name: str) -> str:
        """How the product that makes `name` is to be computed; "" where the model is to choose."""
        return self.products.get(name, self.products.get("*", ""))

    def check_target(self, target: str) -> None:
        """Raise an `UnsupportedError` if something is chosen that a target does not offer."""
        offered = OFFERED.get(target, ())
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if not value or name in offered or value == SCATTERS[0]:
                continue
            if not offered:
                raise UnsupportedError(
                    f"target {target!r} has no schedule to choose; leave it out, or choose target 'cpu'"
                )
            where = next(known for known, names in OFFERED.items() if name in names)
            raise UnsupportedError(
                f"schedule: {name} is {value!r}, and target {target!r} has no {name} to choose; "
                f"leave it out, or choose target {where!r}"
            )

    def check_names(self, products: Iterable[str]) -> None:
        """Raise an `UndefinedError` if there is no product of a name."""
        known = sorted(set(products))
        for name in self.products:
            if name != "*" and name not in known:
                made = ", ".join(known) or "nothing"
                raise UndefinedError(f"schedule: no product makes {name!r}; products make {made}")


def as_schedule(given: Any) -> KernelSchedule:
    """A schedule, from one or from a mapping of its parameters, or that in which all is chosen by the models.

    Raises
    ------
    UndefinedError, UnsupportedError
        If it is neither; if a choice is not offered.
    """
    if given is None:
        return KernelSchedule()
    if isinstance(given, KernelSchedule):
        return given
    fields = KernelSchedule.__dataclass_fields__
    if not isinstance(given, Mapping) or not set(given) <= set(fields):
        known = ", ".join(fields)
        raise UndefinedError(f"schedule is {given!r}; expected a gl.KernelSchedule, or a mapping of {known}")
    return KernelSchedule(**given)


def check_precision(precision: Any, target: str, dtype: str) -> str | None:
    """What `precision` asks for; that of the numbers themselves asks for nothing.

    Raises
    ------
    UnsupportedError
        If it is another than "tf32", or that is asked of another target than "cuda", or of other numbers than float32.
    """
    if precision is None or precision == dtype:
        return None
    if precision != "tf32":
        raise UnsupportedError(f"precision {precision!r} is not offered; choose 'tf32', or leave it out for {dtype}")
    if target != "cuda":
        raise UnsupportedError(f"precision 'tf32' is one of tensor cores, and target {target!r} has none; leave it out")
    if dtype != "float32":
        raise UnsupportedError(f"precision 'tf32' is one of float32 factors, and the dtype is {dtype}; leave it out")
    return "tf32"


def check_checkpoint(checkpoint: Any, target: str) -> int | bool | None:
    """What `checkpoint` asks for; False asks for nothing.

    Raises
    ------
    SizeError
        If it is no whole number of at least 1.
    UnsupportedError
        If the target has no checkpoints.
    """
    if checkpoint is None or checkpoint is False:
        return None
    if checkpoint is not True and (not isinstance(checkpoint, int | np.integer) or checkpoint < 1):
        raise SizeError(f"checkpoint is {checkpoint!r}; expected a number of steps, or True to choose one")
    if target != "cpu":
        raise UnsupportedError(f"target {target!r} stores every step of a recurrence; checkpoint needs target 'cpu'")
    return True if checkpoint is True else int(checkpoint)
