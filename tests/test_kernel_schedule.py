"""Kernels that are scheduled by hand compute the same as those that the cost models choose."""

from __future__ import annotations

import numpy as np
import pytest

import gradloom as gl
from gradloom.codegen.generate import generate
from gradloom.symbolic.errors import UndefinedError, UnsupportedError

L = gl.layers


def network():
    return gl.Sequential([L.Dense(17, gl.tanh), L.Dense(5)], (11,), loss=gl.losses.CrossEntropy(targets="labels"))


def convolution():
    layers = [L.Conv2D(3, 3, activation=gl.relu), L.Flatten(), L.Dense(5)]
    return gl.Sequential(layers, (2, 7, 5), loss=gl.losses.CrossEntropy(targets="labels"))


def trained(net, schedule, epochs=2):
    shape = tuple(int(size) for size in net.inputs[0].shape[1:])
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((41, *shape)), rng.integers(0, 5, 41)
    model = gl.Model(net, seed=2, dtype="float64", schedule=schedule)
    model.fit(x, y, epochs=epochs, batch=13, optimizer=gl.optimizers.SGD(lr=0.1, momentum=0.9), progress=False)
    return model.params.flat.copy()


SCHEDULES = [
    {"products": {"*": "loops"}, "workspace": "shared"},
    {"products": {"*": "outer packed", "d_W1": "loops"}, "workspace": "apart"},
    {"sums": "halves"},
    {"sums": "halves", "products": {"*": "loops"}, "workspace": "shared"},
]


@pytest.mark.slow
@pytest.mark.parametrize("schedule", SCHEDULES[:2], ids=["shared", "apart"])
@pytest.mark.parametrize("declare", [network, convolution])
def test_every_schedule_trains_alike(declare, schedule):
    expected = trained(declare(), None)
    np.testing.assert_allclose(trained(declare(), schedule), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.usefixtures("without_compiler")
@pytest.mark.parametrize("declare", [network, convolution])
@pytest.mark.parametrize("schedule", [{name: each[name]} for each in SCHEDULES for name in each], ids=str)
def test_every_choice_alone_trains_alike(declare, schedule):
    expected = trained(declare(), None)
    np.testing.assert_allclose(trained(declare(), schedule), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("epoch", ["unrolled", "calls"])
def test_an_epoch_may_be_unrolled_or_not(epoch):
    declare = lambda: gl.Sequential([L.Dense(3, gl.sigmoid), L.Dense(5)], (2,), loss=gl.losses.CrossEntropy("labels"))  # noqa: E731
    expected = trained(declare(), None)
    np.testing.assert_allclose(trained(declare(), gl.KernelSchedule(epoch=epoch)), expected, rtol=1e-12, atol=1e-13)


def test_the_generated_module_shows_what_was_chosen():
    source = {
        way: network().compile(schedule={"products": {"z1": way}}).source for way in ("dot", "outer packed", "loops")
    }
    first = {way: text[text.index("def forward") :].split("for i in")[0] for way, text in source.items()}
    assert "product_1(" in first["dot"]
    assert "product_1(" not in first["loops"]
    assert 'product_1 = contraction("dot"' in source["dot"]
    assert 'product_1 = contraction("outer"' in source["outer packed"]


def test_unrolled_and_called_epochs_are_other_code():
    declare = lambda: gl.Sequential([L.Dense(3, gl.sigmoid)], (2,), loss=gl.losses.SquaredError())  # noqa: E731
    sgd = gl.optimizers.SGD(lr=0.1)
    unrolled, called = (
        declare().compile(optimizer=sgd, schedule={"epoch": epoch}).source for epoch in ("unrolled", "calls")
    )
    assert "epoch_by_row" in unrolled
    assert "epoch_by_row" not in called


@pytest.mark.parametrize(
    ("schedule", "error", "words"),
    [
        ({"products": {"z9": "dot"}}, UndefinedError, "no product makes 'z9'; products make d_W1"),
        ({"products": {"z1": "fast"}}, UnsupportedError, r"products\['z1'\] is 'fast'; choose from 'outer'"),
        (
            {"products": {"d_W1": "dot"}},
            UnsupportedError,
            "d_W1's product cannot be computed as 'dot'; choose from",
        ),
        ({"epoch": "never"}, UnsupportedError, "epoch is 'never'; choose from 'unrolled', 'calls'"),
        (
            {"tiles": 3},
            UndefinedError,
            "expected a gl.KernelSchedule, or a mapping of epoch, workspace, sums, products, scatter",
        ),
        ({"scatter": "quick"}, UnsupportedError, "scatter is 'quick'; choose from 'ordered', 'fast'"),
        (
            {"scatter": "fast"},
            UnsupportedError,
            "scatter is 'fast', and target 'cpu' has no scatter to choose; leave it out, or choose target 'cuda'",
        ),
        ("dot", UndefinedError, "expected a gl.KernelSchedule"),
    ],
)
def test_a_schedule_that_cannot_be_is_an_error(schedule, error, words):
    with pytest.raises(error, match=words):
        network().compile(schedule=schedule)


@pytest.mark.parametrize("target", ["cpu", "numpy", "cuda"])
def test_in_order_every_target_adds_anyway(target):
    sources = [generate(network(), target=target, schedule=one).source for one in (None, {"scatter": "ordered"})]
    assert sources[0] == sources[1]


def test_the_numpy_target_has_no_schedule():
    with pytest.raises(UnsupportedError, match="target 'numpy' has no schedule to choose"):
        network().compile(target="numpy", schedule={"workspace": "shared"})
