"""The targets as data: a template, and what writes the bodies of its functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .cpu import write_cpu
from .cuda.write import write_cuda
from .kernels import Bodies
from .numpy_module import write_numpy
from .plan import Plan


@dataclass(frozen=True)
class Target:
    """A target.

    Attributes
    ----------
    template : the file in ``templates/``
    write : writes the bodies of the template's functions
    summary : what the module needs, for its docstring
    strided : whether its products take operands that lie with any strides
    sums_last : whether the matrices of a recurrence lie best with what is summed over as their last axis, not the first
    """

    template: str
    write: Callable[[Plan], Bodies]
    summary: str
    strided: bool = False
    sums_last: bool = False


TARGETS = {
    "cpu": Target("cpu.py.j2", write_cpu, "compiled by Numba", strided=True),
    "cuda": Target("cuda.py.j2", write_cuda, "kernels for a GPU", strided=True, sums_last=True),
    "numpy": Target("numpy.py.j2", write_numpy, "NumPy, the readable reference"),
}
DTYPES = ("float32", "float64")
