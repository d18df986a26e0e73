"""`view` of a flat buffer: the same memory as the slice, reshaped, with and without the compiler."""

import numpy as np
import pytest
from numba import njit

from gradloom.codegen.carried.views import _sliced, view


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_view_is_the_slice(dtype):
    @njit
    def compiled(buffer, start, rows):
        part = view(buffer, start, (rows, 5, 3))
        line = view(buffer, 2, (rows,))
        line[rows - 1] = 7
        for i in range(rows):
            part[i, 4, 2] += line[i]
        return part.sum(), part[1].sum(), part.reshape(-1)[4], part.shape, part.strides, part.size

    def plain(buffer, start, rows):
        part, line = buffer[start : start + 15 * rows].reshape(rows, 5, 3), buffer[2 : 2 + rows]
        assert np.shares_memory(_sliced(buffer, start, (rows, 5, 3)), part)
        line[rows - 1] = 7
        part[:, 4, 2] += line
        return part.sum(), part[1].sum(), part.reshape(-1)[4], part.shape, part.strides, part.size

    numbers = np.arange(200).astype(dtype)
    for rows in (2, 11):
        one, other = numbers.copy(), numbers.copy()
        assert compiled(one, 23, rows) == plain(other, 23, rows)
        np.testing.assert_array_equal(one, other)
