"""Everything that a target writes from: the scheduled ops, the layout, and the options."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field

from ..symbolic.network import Network
from ..symbolic.tensors import Tensor
from .kernel_schedule import KernelSchedule
from .layout import Layout
from .lower import Lowering
from .names import Names
from .schedule import Schedule
from .sizes import Sizes
from .update import UpdatePlan


@dataclass(frozen=True)
class Plan:
    """What is to be written, for any target.

    Attributes
    ----------
    names : identifiers of the data, the parameters and the sizes; targets add those of what they compute
    update : the optimizer's step, or None
    real : "float32" or "float64"
    inference : the plan of `predict` and `loss` in inference, if this one, of the training, is another
    chosen : what of the kernels is not left to cost models
    timed : whether the code counts where its time goes
    announced : whether the backward pass says when it is done with each gradient
    checkpoint : how many steps of a recurrence are computed again from one that is stored; True chooses, None for none
    precision : "tf32" where the factors of products may be rounded to that, else None
    valued : whether the loss is computed, and not only derived
    """

    network: Network
    schedule: Schedule
    lowering: Lowering
    layout: Layout
    sizes: Sizes
    names: Names
    update: UpdatePlan | None
    real: str
    inference: Plan | None = None
    chosen: KernelSchedule = field(default_factory=KernelSchedule)
    timed: bool = False
    announced: bool = False
    checkpoint: int | bool | None = None
    precision: str | None = None
    valued: bool = True

    @property
    def is_valued(self) -> bool:
        """Whether there is a loss whose value is computed."""
        return self.valued and self.network.loss is not None

    @property
    def data(self) -> list[Tensor]:
        noises = self.network.noises if self.inference is not None or self.network.is_of_training else []
        return [*self.network.inputs, *self.network.targets, *noises]

    def rows(self, tensors: list[Tensor], in_place: Container[Tensor] = ()) -> str:
        """How many rows the batch has, as source, by one of `tensors`; "" if none has them.

        Of those in `in_place` the rows may be chosen ones.
        """
        batch = self.sizes.batch
        found = [tensor for tensor in tensors if tensor.rank and batch is not None and tensor.shape[0] == batch]
        name = next((self.names.of(tensor) for tensor in found if tensor not in in_place), "")
        if name or not found:
            return name and f"{name}.shape[0]"
        return f"rows_of({self.names.of(found[0])})"
