"""The type of a module's numbers, for the files of this folder; a module says itself what its own is."""

from numba import float32

real = float32
