"""A lock-step simulator of CUDA kernels that are written for Numba: what they compute, and what they get wrong.

It runs the *source text* of a generated module with Python and NumPy alone; neither a GPU nor `numba.cuda` is used.
Every CUDA thread is a Python generator. A barrier, a shuffle, a vote and a tensor-core product are `yield`s; between
two of them a thread runs alone, in an order that the caller chooses.

>>> import numpy as np
>>> module = load('''
... from numba import cuda, float32
...
... @kernel
... def double(x, y, n):
...     i = cuda.grid(1)
...     if i < n:
...         y[i] = x[i] * float32(2.0)
... ''', kernels=["kernel"])
>>> x, y = np.arange(5, dtype=np.float32), np.full(5, np.nan, np.float32)
>>> module.launch("double", 2, 4, (x, y, 5))
>>> y
array([0., 2., 4., 6., 8.], dtype=float32)

What is raised, each naming kernel, block, thread, source line and array, all being `LockstepError`s:

| error | found |
|---|---|
| `Race` | two threads touch one element, one of them writing, and nothing orders them |
| `OutOfBounds` | an index outside its array, below 0 too |
| `Divergence` | a barrier or collective that some thread of its scope does not reach |
| `Misaligned` | an access of 8 or 16 bytes that does not start at a multiple of them |
| `Promotion` | a float64 in float32 code: a bare literal, or an integer times a float32 |
| `Failure` | anything else that Python raises inside a kernel |

Shared and local memory starts as NaN (integers: `BAD_INTEGER`), so what was never written shows in the results.

Not modelled: floating-point contraction and approximate functions, caches, and orderings by hand-written flags (fences
and acquire loads order nothing here, and a loop that waits for another thread never ends; name the function that waits
as a grid barrier). `syncwarp` of a part of a warp is waited for but orders no accesses. Numba gives a variable one type
for all paths; here it has the type of the path taken, so a promotion is found where its path runs.
"""

from .copies import cp_wait
from .errors import Divergence, Failure, LockstepError, Misaligned, OutOfBounds, Promotion, Race
from .memory import BAD_INTEGER
from .module import Module, load

__all__ = [
    "BAD_INTEGER",
    "Divergence",
    "Failure",
    "LockstepError",
    "Misaligned",
    "Module",
    "OutOfBounds",
    "Promotion",
    "Race",
    "cp_wait",
    "load",
]
