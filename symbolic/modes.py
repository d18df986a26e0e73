"""`Modes`: what a network does in training alone or in inference alone: noise, states, second bodies of equations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from sympy import Symbol

from .equations import Equation, check_equation, right_side
from .errors import IndexingError, NameTakenError, ShapeError, UndefinedError
from .indices import a
from .letters import Letters
from .tensors import Tensor, shape_text


class Mark(NamedTuple):
    """When an equation holds, as it is written beside it: before a line of text, behind one of LaTeX."""

    text: str = ""
    latex: str = ""


IN_INFERENCE = Mark("in inference: ", r" \quad \text{in inference}")
AFTER_STEP = Mark("after each step: ", r" \quad \text{after each step}")


class Modes:
    """The part of `Network` that tells training from inference."""

    tensors: dict[str, Tensor]
    equations: list[Equation]
    assignments: list[Equation]
    is_of_training: bool = False  # a derivative of what training computes, which has no other form in inference
    initializers: dict[str, Any]
    _letters: Letters

    def noise(self, name: str, shape: Any = (), *, latex: str | None = None) -> Tensor:
        """Declare noise: numbers uniform in [0, 1), drawn afresh for every training step; `normal` makes normal ones.

        They are a function of a seed, the number of the step, which noise of the network it is, and the position, so
        that a training can be repeated. A batch axis comes first. There is no noise in inference: an equation that
        reads it and is needed there takes ``inference=…`` in `define`.
        """
        return self._declare(Tensor(name, shape, "noise", latex=latex))

    def state(self, name: str, shape: Any = (), *, init: Any = 0, latex: str | None = None) -> Tensor:
        """Declare a state: an array kept, saved and loaded with the parameters, that has no gradient.

        It changes after each training step, as `after_step` says, and not otherwise. (An optimizer's states are others:
        they belong to the optimizer.) `init` is as in `parameter`, but 0 by default.
        """
        tensor = self._declare(Tensor(name, shape, "state", latex=latex))
        self.initializers[name] = init
        return tensor

    def after_step(self, name: str, indices: Any, body: Any, *, note: str = "") -> None:
        """Assign ``name[indices] = body`` to a state at each training step.

        `body` reads everything as the step's forward pass had it: values, data, noise, the parameters before the
        optimizer changes them, and the old values of all states, also of those that are assigned to.

        Raises
        ------
        UndefinedError, NameTakenError
            If `name` is no state, or is assigned to already.
        ShapeError, IndexingError
            As `define` does.
        """
        tensor = self._known(name)
        if tensor.role != "state":
            raise UndefinedError(f"after_step assigns to states; {name} is {a(tensor.role)}: declare it with state()")
        if any(equation.target == tensor for equation in self.assignments):
            raise NameTakenError(f"{name} is assigned to already; state in one after_step what becomes of it")
        where = tuple(indices) if isinstance(indices, tuple | list) else (indices,)
        if len(where) != tensor.rank:
            raise ShapeError(f"{name}: {len(where)} indices, but shape {shape_text(tensor.shape)}")
        if len(set(where)) != len(where) or not all(isinstance(index, Symbol) for index in where):
            raise IndexingError(f"{name}: the left side takes plain indices from indices(), each once; found {where}")
        equation = Equation(tensor, where, right_side(name, body), note)
        check_equation(equation, self.tensors)
        self.assignments.append(equation)
        self._letters.learn(equation, self.tensors)

    # ---- asking ----------------------------------------------------------------------------------------------

    @property
    def noises(self) -> list[Tensor]:
        return [tensor for tensor in self.tensors.values() if tensor.role == "noise"]

    @property
    def states(self) -> list[Tensor]:
        return [tensor for tensor in self.tensors.values() if tensor.role == "state"]

    @property
    def has_modes(self) -> bool:
        """Whether training computes anything else than inference."""
        others = any(equation.inference is not None for equation in self.equations)
        return others or bool(self.noises or self.assignments)

    def for_inference(self) -> list[Equation]:
        """The equations as they hold in inference, in order."""
        return [equation.for_inference() for equation in self.equations]

    def written(self) -> Iterator[tuple[Mark, Equation]]:
        """What is printed of the network: its equations, what they are in inference, and what follows each step."""
        for equation in self.equations:
            yield Mark(), equation
            if equation.inference is not None:
                yield IN_INFERENCE, equation.for_inference()
        for equation in self.assignments:
            yield AFTER_STEP, equation

    if TYPE_CHECKING:  # what `Network` has

        def _declare(self, tensor: Tensor) -> Tensor: ...

        def _known(self, name: str) -> Tensor: ...
