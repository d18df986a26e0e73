"""Generated modules against the reference interpreter and against differences of their own loss."""

from __future__ import annotations

import kernels
import numpy as np
import pytest

TARGETS = ("numpy", "cpu")


def close(found, wanted, tolerance):
    wanted = np.asarray(wanted, dtype=float)
    scale = max(1.0, np.abs(wanted).max(initial=0))
    assert np.asarray(found).shape == wanted.shape
    np.testing.assert_allclose(np.asarray(found, dtype=float), wanted, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", kernels.CASES)
def test_values_and_gradients_are_those_of_the_equations(name, target):
    network, source, values = kernels.made(name, target)
    output, loss, grads = kernels.run(kernels.plain(source), network, values)
    wanted = kernels.expected(network, values, [*grads])
    close(loss, wanted[network.loss.name], 1e-12)
    if name not in ("product_circuit", "neuron_circuit"):
        close(output, wanted[network.output.name], 1e-12)
    for found in grads:
        close(grads[found], wanted[found], 1e-11)
