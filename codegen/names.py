"""Identifiers for a generated module: the names of the declaration where they are free, others where they are not."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable
from typing import Any

from ..symbolic.indices import RESERVED
from ..symbolic.tensors import Tensor
from .carried import CALLED

# What the templates and printers use; a tensor of such a name gets an underscore.
_MODULE = """PARAMETERS TRAINABLE GRADIENTS STATE HYPER gradient_places njit types erf erfc expit special einsum
    total done value row rows at thread threads gate first last start steps count given others number found wait
    begin run meeting join_in Barrier BrokenBarrierError Thread config i1 i2 i3 i4 dtype quiet compiled training_loss
    advance epoch_by_row epoch_by_batch fill_noise uniform mixed seed GOLDEN LANES32 LANES64 before
    cuda kernel device math int32 uint64 float32 float64 lane lanes block blocks stage scratch scalars sums losses
    grid_barrier block_sum warp_sum sums_of_lanes numbers_of turn_of quotient remainder add_atomic anew shifted
    training_step half draw following most begins ends put_number put_four add_number sign target column tables offsets
    points TABLES THREADS BLOCKS SHARED BATCH BATCHED WHOLE BATCH_ROWS LOSS INFERENCE_LOSS SCALARS SUMS STAGE own mine
    held room parts slices stride near far fetch give_back change step_alone train_alone train_in_room PARTS HELD ROWS
    SPACE FINISHED pipes""".split()
_NUMBERED = re.compile(r"product_\d+|tile_\d+|finish_\d+|together_\d+|OFFSETS_\d+")
_TAKEN = RESERVED | CALLED | set(_MODULE) | set(keyword.kwlist) | set(keyword.softkwlist)


class Names:
    """One identifier per tensor, and unused ones for locals; names that users declare reach source only here."""

    def __init__(self) -> None:
        self._taken = set(_TAKEN)
        self._tensors: dict[Any, str] = {}

    def copy(self) -> Names:
        """The same names, to which others can be added independently."""
        made = Names()
        made._taken, made._tensors = set(self._taken), dict(self._tensors)
        return made

    def declare(self, things: Iterable[Any]) -> None:
        """Give each tensor or size an identifier, in order: the first come keeps its name."""
        for thing in things:
            if thing not in self._tensors:
                self._tensors[thing] = self.fresh(thing.name)

    def share(self, tensor: Tensor, owner: Tensor) -> None:
        """Let `tensor` have the name of `owner`."""
        self._tensors[tensor] = self._tensors[owner]

    def hand_over(self, old: Tensor, new: Tensor) -> None:
        """Let `new`, which stands where `old` stood, have its name, if that has one."""
        if old in self._tensors:
            self.share(new, old)

    def of(self, thing: Any) -> str:
        return self._tensors[thing]

    def fresh(self, wanted: str) -> str:
        """`wanted`, or with underscores after it; nobody gets it again."""
        name = self.free(wanted)
        self._taken.add(name)
        return name

    def free(self, wanted: str, used: Iterable[str] = ()) -> str:
        """`wanted`, or with underscores after it, so that it is neither a module-wide name nor in `used`."""
        used = set(used)
        name = wanted
        while name in self._taken or name in used or _NUMBERED.fullmatch(name):
            name += "_"
        return name
