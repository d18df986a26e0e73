"""Derived gradients, evaluated straight off the equations, against PyTorch's autograd in float64.

No code is generated here: what fails here is a wrong derivation.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracles import ACTIVATIONS, LOSSES, random_case, relative_error, torch_gradients

from gradloom.symbolic.evaluate import evaluate

TOLERANCE = 1e-9


def check(case):
    loss, expected = torch_gradients(case)
    derivation = case.network.derive(wrt=expected)
    found = evaluate([*case.network.equations, *derivation.adjoints], case.values | case.network.values)
    assert found["L"] == pytest.approx(loss, rel=TOLERANCE)
    errors = {
        name: relative_error(found[derivation.gradients[name].target.name], gradient)
        for name, gradient in expected.items()
    }
    assert max(errors.values()) < TOLERANCE, errors


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_activation_with_every_loss(activation, loss):
    check(random_case(activation, loss, np.random.default_rng(17), depth=2, largest=7))


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    loss=st.sampled_from(sorted(LOSSES)),
    depth=st.integers(1, 4),
    seed=st.integers(0, 2**31),
)
def test_random_networks(activation, loss, depth, seed):
    check(random_case(activation, loss, np.random.default_rng(seed), depth, largest=13))
