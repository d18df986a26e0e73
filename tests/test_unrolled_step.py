"""`epoch` of tiny networks as straight-line code: the same as loss, gradients and update called step by step."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels import compiled, plain

import gradloom as gl
from gradloom.codegen import unrolled_step
from gradloom.codegen.generate import generate

ACTIVATIONS = [gl.sigmoid, gl.tanh, gl.relu, gl.silu, gl.softplus, gl.gelu]
LOSSES = {
    "squared": gl.losses.SquaredError(),
    "huber": gl.losses.Huber(),
    "binary": gl.losses.BinaryCrossEntropy(),
    "one_hot": gl.losses.CrossEntropy(),
    "labels": gl.losses.CrossEntropy(targets="labels"),
}
OPTIMIZERS = [
    lambda: gl.optimizers.SGD(0.3),
    lambda: gl.optimizers.SGD(gl.schedules.Cosine(0.2, 9), momentum=0.8, nesterov=True, weight_decay=0.1),
    lambda: gl.optimizers.SGD(0.3, clip_norm=0.2),
    lambda: gl.optimizers.SGD(0.3, momentum=0.5, clip_value=0.05),
    lambda: gl.optimizers.Adam(0.05),
    lambda: gl.optimizers.AdamW(gl.schedules.StepDecay(0.05, 2, 0.5), weight_decay=0.2, clip_norm=0.3),
    lambda: gl.optimizers.RMSProp(0.02, momentum=0.6, centered=True),
    lambda: gl.optimizers.AdaGrad(0.1),
]


class Training:
    """A module's buffers, and data for it, all of them functions of the seed."""

    def __init__(self, network, module, optimizer, dtype, rows, seed):
        self.module, self.dtype = module, dtype
        rng = np.random.default_rng(seed)
        size = max(offset + int(np.prod(shape)) for offset, shape in module.PARAMETERS.values())
        self.params = rng.normal(size=size).astype(dtype)
        self.state = rng.uniform(0.1, 0.2, size=(len(module.STATE), module.TRAINABLE)).astype(dtype)
        self.hyper = np.array([optimizer.values[name] for name in module.HYPER])
        self.data = [self._data(tensor, rows, rng) for tensor in [*network.inputs, *network.targets]]
        self.order = rng.integers(0, rows, size=rows + 2)

    def _data(self, tensor, rows, rng):
        shape = (rows, *(int(size) for size in tensor.shape[1:]))
        if tensor.classes is not None:
            return rng.integers(0, int(tensor.classes), size=shape)
        if tensor.role == "target":
            return rng.dirichlet(np.ones(shape[-1] + 1), size=rows)[:, :-1].astype(self.dtype)
        return rng.normal(size=shape).astype(self.dtype)

    def epoch(self, batch, step=3):
        """Parameters, state, total and number of steps after `epoch`."""
        params, state, grads = self.params.copy(), self.state.copy(), np.zeros_like(self.params)
        work = self.module.workspace(batch)
        with np.errstate(all="ignore"):
            total, done = self.module.epoch(
                params, grads, state, *self.data, self.order, batch, self.hyper, step, work
            )
        return params, state, total, done

    def step_by_step(self, batch, step=3):
        """The same by the other functions of the module."""
        params, state, grads = self.params.copy(), self.state.copy(), np.zeros_like(self.params)
        total, done = 0.0, 0
        for first in range(0, len(self.order), batch):
            rows = self.order[first : first + batch]
            arrays = [array[rows] for array in self.data]
            with np.errstate(all="ignore"):
                value = self.module.loss_and_gradients(params, *arrays, self.module.workspace(len(rows)), grads)
            if not np.isfinite(value):
                return params, state, value, done
            done += 1
            with np.errstate(all="ignore"):
                self.module.update(params, grads, state, self.hyper, step + done)
            total += float(value) * len(rows)
        return params, state, total, done


def agree(training, batch, tolerance):
    found, expected = training.epoch(batch), training.step_by_step(batch)
    assert found[3] == expected[3]
    for one, other in zip(found[:3], expected[:3], strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)
    assert found[0].dtype == training.dtype


@pytest.fixture
def unrolls_everything(monkeypatch):
    monkeypatch.setattr(unrolled_step, "LIMIT", 10**6)


@st.composite
def cases(draw):
    sizes = draw(st.lists(st.integers(1, 4), min_size=2, max_size=3))
    activations = [draw(st.sampled_from(ACTIVATIONS)) for _ in sizes[1:]]
    loss = draw(st.sampled_from(sorted(LOSSES)))
    if loss == "binary":
        activations[-1] = gl.sigmoid
    elif loss in ("one_hot", "labels"):
        activations[-1] = None
    frozen = draw(st.booleans())
    layers = [
        gl.layers.Dense(size, *([activation] if activation else []), **({"trainable_bias": False} if frozen else {}))
        for size, activation in zip(sizes[1:], activations, strict=True)
    ]
    penalties = [gl.losses.L2(0.1)] if draw(st.booleans()) else []
    network = gl.Sequential(layers, input_shape=sizes[0], loss=LOSSES[loss], penalties=penalties, name="tiny")
    optimizer = draw(st.sampled_from(OPTIMIZERS))()
    return network, optimizer, draw(st.sampled_from(["float32", "float64"])), draw(st.integers(0, 2**31))


@settings(max_examples=25, deadline=None)
@given(case=cases(), batch=st.integers(1, 7), rows=st.integers(1, 11))
def test_an_epoch_is_its_steps(case, batch, rows):
    network, optimizer, dtype, seed = case
    limit, unrolled_step.LIMIT = unrolled_step.LIMIT, 10**6
    try:
        source = generate(network, dtype=dtype, optimizer=optimizer).source
    finally:
        unrolled_step.LIMIT = limit
    module = plain(source)
    assert hasattr(module, "epoch_by_row")
    training = Training(network, module, optimizer, dtype, rows, seed)
    agree(training, batch, {"float32": 2e-3, "float64": 1e-9}[dtype])
