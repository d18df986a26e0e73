"""What is asked of a claim, whether two expressions are equal, and what the answer says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from sympy import Expr, Symbol

from ...derivation import Derivation
from ...facts import Fact
from ...indices import Dim
from ...recurrence import Recurrence
from ...tensors import Tensor, elements, tensor_of
from .point import blocks_of

EQUAL, BATCH_1, ROUNDED, NOT_EQUAL, UNDECIDED = "equal", "batch 1", "rounded", "not equal", "undecided"


@dataclass(frozen=True, eq=False)
class Question:
    """Whether `left` and `right` are equal, whatever the values of the network's tensors.

    Attributes
    ----------
    derivation : of all tensors, see `everything`
    left, right : expressions over elements of tensors of the network and of their `Adjoint`, which mean the derived
        gradients
    indices : the free indices, and the sizes of their ranges
    rounded : whether there are decimal constants in them
    example : whether they are about one example alone: the batch has one row
    """

    derivation: Derivation
    left: Expr
    right: Expr
    indices: tuple[tuple[Symbol, Expr], ...] = ()
    rounded: bool = False
    example: bool = False

    @property
    def batch(self) -> Dim | None:
        return self.derivation.network.batch

    @cached_property
    def reads(self) -> list[Tensor]:
        """The tensors that stand in the two sides, in a fixed order."""
        return list(dict.fromkeys(tensor_of(element) for side in (self.left, self.right) for element in elements(side)))

    @cached_property
    def needs(self) -> list[Tensor]:
        """All tensors and adjoints that the values of the two sides depend on, in a fixed order."""
        blocks = blocks_of(self.derivation)
        found: dict[Tensor, None] = {}
        stack = list(reversed(self.reads))
        while stack:
            tensor = stack.pop()
            if tensor in found:
                continue
            found[tensor] = None
            block = blocks.get(tensor)
            if block is not None:
                for equation in block.equations if isinstance(block, Recurrence) else (block,):
                    stack += reversed(equation.reads)
        return list(found)

    def of(self, derivation: Derivation) -> Question:
        """The same question of another derivation."""
        return replace(self, derivation=derivation)


@dataclass(frozen=True)
class Decision:
    """How a question was decided.

    Attributes
    ----------
    kind : "equal", "batch 1" (equal for one row in the batch only), "rounded" (equal up to the digits of the constants
        that are written), "not equal" or "undecided"
    method : what decided it, in words
    facts : what has to hold of tensors for the two sides to be equal: facts that were declared, and without which they
        are not; facts proved of the network, if the proof has used them
    digits : how many digits agree, if rounded
    note : why it is not decided; what else there is to say
    """

    kind: str
    method: str
    facts: tuple[Fact, ...] = ()
    digits: int | None = None
    note: str = ""


__all__ = ["Decision", "Question"]
