"""Names of Python code: what tensor, gradient or size ``dW2``, ``delta_2``, ``grads['db1']`` or ``m`` is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ...derivation import Derivation
from ...errors import GradloomError
from ...indices import Dim
from ...tensors import Adjoint, Tensor
from ..deciding.draw import symbolic_sizes
from ..errors import UnknownNameError

MAPPINGS = frozenset("cache caches values params parameters grads gradients tensors memory".split())
ROWS = frozenset("m N batch batch_size n_samples num_examples".split())  # the size of the batch, as people call it
OUTPUT = frozenset("out output y_hat yhat y_pred yhat_ probs".split())
LOSS = frozenset("loss cost J E".split())
_GRADIENT = re.compile(
    r"(?:delta_?|grad_?|nabla_?|d(?:L|J|E|C|loss|cost)_?d_?|d_?)(?P<of>\w*)$|(?P<before>\w+?)_(?:grad|gradient|bar)$"
)


@dataclass(frozen=True)
class Meant:
    """What a name stands for.

    Attributes
    ----------
    kind : "tensor" (a tensor or an `Adjoint`), "size" or "mapping"
    what : the tensor, the size, or None
    """

    kind: str
    what: Any = None

    @property
    def tensor(self) -> Tensor:
        return self.what


class AmbiguousNameError(UnknownNameError):
    """A name that several tensors could have."""


class Names:
    """The names of one derivation; see the module."""

    def __init__(self, derivation: Derivation) -> None:
        self.derivation = derivation
        self.network = derivation.network
        assert self.network.loss is not None
        self.loss: Tensor = self.network.loss
        self.sizes = {size.name: size for size in symbolic_sizes(self.network)}

    def output(self, name: str) -> Tensor | None:
        """The tensor or gradient of that name, or None.

        Raises
        ------
        AmbiguousNameError
            If several could have it.
        """
        exact = self.network.tensors.get(name)
        if exact is not None:
            return exact
        found = _GRADIENT.match(name)
        of = (found["of"] if found["of"] is not None else found["before"]) if found else None
        if of is not None:
            tensor = self._delta(of) if name.startswith("delta") else self.value(of)
            if tensor is not None:
                return self.gradient(tensor)
        return self.value(name)

    def gradient(self, tensor: Tensor) -> Tensor:
        return Adjoint(tensor, self.loss)

    def argument(self, name: str) -> Meant | None:
        """What a parameter of that name is given, or None if it is no name that is known."""
        if name in self.network.tensors:
            return Meant("tensor", self.network.tensors[name])
        if name in self.sizes:
            return Meant("size", self.sizes[name])
        if name in MAPPINGS:
            return Meant("mapping")
        if name in ROWS and self.network.batch is not None:
            return Meant("size", self.network.batch)
        tensor = self.output(name)
        return None if tensor is None else Meant("tensor", tensor)

    def value(self, name: str) -> Tensor | None:
        """The tensor that `name` means: its own, but for case and underscores; without a number if only one fits."""
        tensors = self.network.tensors
        plain = name.replace("_", "")
        if name in tensors or plain in tensors:
            return tensors.get(name) or tensors[plain]
        if not plain:
            return None
        if name in OUTPUT:
            return self._output()
        if name in LOSS:
            return self.loss
        folded = [t for t in tensors.values() if t.name.replace("_", "").lower() == plain.lower()]
        if len(folded) == 1:
            return folded[0]
        inputs = self.network.inputs
        if plain.lower() == "a0" and len(inputs) == 1:
            return inputs[0]
        return self._of_letter(name, plain)

    def series(self, name: str) -> list[Tensor]:
        """The tensors of a list of one per layer: ``nabla_w``, ``grads['dW']``; in order of their numbers."""
        found = _GRADIENT.match(name)
        letter = ((found["of"] or "") if found and found["of"] is not None else name).replace("_", "")
        kept = sorted(self._numbered(letter), key=lambda t: int(re.sub(r"\D", "", t.name)))
        return [self.gradient(t) for t in kept] if found else kept

    def known(self) -> str:
        """All names, for messages."""
        names = [t.name for t in self.network.tensors.values()]
        return f"tensors {', '.join(names)}; their gradients as d{names[0]} or d_{names[0]}" + (
            f"; sizes {', '.join(self.sizes)}" if self.sizes else ""
        )

    # ---- inside ----------------------------------------------------------------------------------------------

    def _numbered(self, letter: str) -> list[Tensor]:
        return [
            t for t in self.network.tensors.values() if re.fullmatch(re.escape(letter) + r"\d+", t.name, re.IGNORECASE)
        ]

    def _of_letter(self, name: str, letter: str) -> Tensor | None:
        if not letter.isalpha():
            return None
        exact = [t for t in self._numbered(letter) if t.name.startswith(letter)]
        found = exact or self._numbered(letter)
        if len(found) > 1:
            raise AmbiguousNameError(
                f"{name} may be {', '.join(t.name for t in found)}: give it the number of the layer that is meant"
            )
        return found[0] if found else None

    def _delta(self, of: str) -> Tensor | None:
        number = of.replace("_", "")
        return self.value(f"z{number}") if not number or number.isdigit() else self.value(of)

    def _output(self) -> Tensor | None:
        try:
            return self.network.output
        except GradloomError:
            return None


__all__ = ["AmbiguousNameError", "Dim", "Meant", "Names"]
