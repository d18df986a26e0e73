"""What a call of a `Pullback` needs for arguments of given shapes: compiled kernels, their buffers, what is checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..symbolic.network import Network


@dataclass
class Kernels:
    """The compiled functions of one set of sizes, one type and one set of gradients.

    Attributes
    ----------
    network : that they were generated from
    module : generated
    team : what kernels that share work among threads take: the first of one
    spare : workspaces that no call holds, each with the number of rows that it is for
    """

    network: Network
    module: Any
    team: tuple[Any, ...]
    spare: list[tuple[int, Any]] = field(default_factory=list)

    def workspace(self, rows: int) -> tuple[int, Any]:
        """A workspace for `rows` rows that is the caller's until `give_back`."""
        try:
            found = self.spare.pop()
        except IndexError:
            return rows, self.module.workspace(rows)
        return found if found[0] >= rows else (rows, self.module.workspace(rows))

    def give_back(self, work: tuple[int, Any]) -> None:
        self.spare.append(work)


@dataclass(frozen=True)
class Plan:
    """What a call does for arguments of these shapes.

    Attributes
    ----------
    rows : of the batch; 1 where there is none
    dtype : of all real numbers
    labels : the places of class labels among the data, and how many classes there are
    summed : the places of data whose declared sums are checked
    gradients : name → offset and shape, of what is differentiated, in the order of the arguments
    count : how many numbers the gradients have
    shapes : of the outputs
    """

    kernels: Kernels
    rows: int
    dtype: np.dtype[Any]
    labels: tuple[tuple[int, int], ...]
    summed: tuple[int, ...]
    gradients: tuple[tuple[int, int, tuple[int, ...]], ...]
    count: int
    shapes: tuple[tuple[int, ...], ...]
