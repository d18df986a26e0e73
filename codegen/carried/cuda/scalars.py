"""Functions of numbers, and how the tiles of a product are stored."""

import math

from .intrinsics import along, device, st4
from .real import real


@device
def where(condition, yes, no):
    """One of two numbers."""
    return yes if condition else no


@device
def larger(most, value):
    """The larger of two; NaN if one is."""
    return value if value > most or value != value else most


@device
def sign(x):
    """-1, 0 or 1; NaN of NaN."""
    return real(1) if x > real(0) else (real(-1) if x < real(0) else x)


@device
def logistic(x):
    """1/(1 + exp(-x)); exp may overflow, the quotient is then 0."""
    return real(1) / (real(1) + math.exp(-x))


@device
def logaddexp(x, y):
    """log(exp(x) + exp(y)), by the larger one."""
    if x == y:  # also infinities of one sign, whose difference is not a number
        return x + real(0.6931471805599453)
    return larger(x, y) + math.log1p(math.exp(-abs(x - y)))


@device
def put_number(target, row, column, value):
    """Store an entry of a product."""
    pointer, down, across = target
    pointer[along(down, row) + along(across, column)] = value


@device
def put_four(target, row, column, a, b, c, d):
    """Store four neighbours of a product, which lie at a multiple of 16 bytes."""
    pointer, down, _ = target
    st4(pointer, along(down, row) + column, a, b, c, d)


@device
def add_number(target, row, column, value):
    """Store an entry of the first of several products that are added up, and add those of the others."""
    pointer, down, across, begins = target
    place = along(down, row) + along(across, column)
    if begins:
        pointer[place] = value
    else:
        pointer[place] += value
