"""Whatever networks there are, through the "cuda" target on a simulated device: random ones, every layer, every loss.

Random networks, losses and equations are compared with PyTorch, with slopes, or with the reference interpreter; layers
and derived networks with the reference target. All in float64 but where float32 is said.
"""

from __future__ import annotations

import ast

import kernels
import numpy as np
import pytest
import test_any_equation as odd
import test_cuda_gates as gates
import test_layers_torch
import test_second_order_layers as second
from oracles import ACTIVATIONS, LOSSES, random_case, relative_error, torch_gradients
from random_compare import check
from random_equations import check_slopes, random_equations
from random_networks import random_network
from simulated import assert_as_reference, assert_trained_alike, device_module

import gradloom as gl
from gradloom.codegen.generate import generate
from gradloom.codegen.names import Names

L = gl.layers
pytestmark = pytest.mark.usefixtures("one_warp")
slow = pytest.mark.slow


def some(every_day, everything):
    """All of them, those of every day unmarked."""
    listed = [one if isinstance(one, tuple) else (one,) for one in everything]
    first = [one if isinstance(one, tuple) else (one,) for one in every_day]
    return [pytest.param(*one, marks=[] if one in first else [slow]) for one in listed]


# ---- random ------------------------------------------------------------------------------------------------------


def on_device(case, wrt, dtype):
    yield (
        "cuda",
        device_module(generate(case.network, target="cuda", dtype=dtype, sizes=case.sizes, wrt=wrt).source, dtype),
    )


@pytest.mark.parametrize("seed", some([4, 10], range(12)))
def test_random_network(seed):
    check(random_network(seed, most=3), on_device)


@slow
@pytest.mark.parametrize("seed", range(100, 110))
def test_larger_random_network(seed):
    check(random_network(seed), on_device)


@slow
@pytest.mark.parametrize("seed", range(200, 203))
def test_random_network_in_single_precision(seed):
    check(random_network(seed), on_device, "float32", 1e-5)


@pytest.mark.parametrize(
    ("kind", "seed"),
    some(
        [("places", 3), ("states", 2)],
        [(kind, seed) for kind in ("normalised", "places", "states") for seed in range(6)],
    ),
)
def test_random_equations(kind, seed):
    check_slopes(*random_equations(kind, seed), ("cuda",))


@pytest.mark.parametrize("name", some(["labels_as_indices", "kinks", "powers"], odd.CASES))
def test_odd_equations(name):
    network, *tensors = odd.declared()
    network.minimize(odd.CASES[name](*tensors))
    odd.check(network, odd.values(), ("cuda",))


@pytest.mark.parametrize("name", some(["the_first_maximum"], odd.PLACES))
def test_odd_positions(name):
    net, tensors, given = odd.wide()
    i, j = gl.indices("i j")
    a = net.define("a", (i, j), odd.PLACES[name](*tensors), shape=(odd.B, odd.m))
    net.minimize(gl.Sum(a[i, j] ** 2 * (1 + j), i, j) / 2)
    check_slopes(net, given, ("cuda",))


# ---- every loss, activation and layer ----------------------------------------------------------------------------

# Walks both lists at once, so every activation and every loss is met.
PAIRS = [(name, list(LOSSES)[place % len(LOSSES)]) for place, name in enumerate(ACTIVATIONS)]


@pytest.mark.parametrize(("activation", "loss"), some([("gelu", PAIRS[8][1]), ("elu", PAIRS[5][1])], PAIRS))
def test_losses_and_activations(activation, loss):
    case = random_case(activation, loss, np.random.default_rng(len(loss)), 2, largest=11)
    loss, gradients = torch_gradients(case)
    wrt = list(gradients)
    source = generate(case.network, target="cuda", dtype="float64", wrt=wrt).source
    _, found, ours = kernels.run(device_module(source, "float64"), case.network, case.values)
    assert relative_error(found, loss) < 1e-12
    assert max(relative_error(ours[name], gradients[name]) for name in wrt) < 1e-9


def autoencoder():
    encoder = L.Dense(5, gl.sigmoid)
    return [encoder, L.TiedDense(encoder, gl.tanh)]


# Layers, the shape of a sample, and the number of classes where the input holds labels.
LAYERS = {
    "Dense": ([L.Dense(5, gl.softplus, bias=False)], (2, 3)),
    "Activation": ([L.Activation(gl.log_softmax), L.Dense(5)], (3, 7)),
    "TiedDense": (autoencoder(), (7,)),
    "Chain": ([L.Chain([L.Dense(5, gl.silu), L.Dense(3)])], (7,)),
    "Residual": ([L.Residual([L.Dense(5, gl.tanh), L.Dense(7)])], (7,)),
    "Parallel": ([L.Parallel([L.Dense(5, gl.tanh), L.Dense(2)])], (3, 7)),
    "Embedding": ([L.Embedding(7, 3), L.Dense(5)], (), 7),
    "Positions": ([L.Embedding(7, 3), L.Positions(), L.Dense(2)], (5,), 7),
    "Conv1D": ([L.Conv1D(6, 3, stride=2, padding=2, dilation=2, groups=3, activation=gl.elu)], (3, 11)),
    "Conv2D": ([L.Conv2D(3, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2))], (2, 7, 5)),
    "DepthwiseConv2D": ([L.DepthwiseConv2D(2, multiplier=2, padding=1)], (3, 5, 7)),
    "ConvTranspose1D": ([L.ConvTranspose1D(2, 3, 2, 1, 1)], (3, 5)),
    "ConvTranspose2D": ([L.ConvTranspose2D(2, (2, 3), (3, 1))], (3, 2, 5)),
    "MaxPool1D": ([L.MaxPool1D(3, 2), L.Dense(2)], (3, 7)),
    "MaxPool2D": ([L.Conv2D(3, 2), L.MaxPool2D((2, 3), 1)], (2, 5, 6)),
    "AveragePool1D": ([L.AveragePool1D(3), L.Dense(2)], (2, 7)),
    "AveragePool2D": ([L.Conv2D(2, 2), L.AveragePool2D(2)], (1, 5, 7)),
    "GlobalAveragePool": ([L.Conv2D(3, 2), L.GlobalAveragePool()], (2, 3, 5)),
    "GlobalMaxPool": ([L.Conv1D(3, 2), L.GlobalMaxPool()], (2, 7)),
    "BatchNorm": ([L.Conv1D(3, 2), L.BatchNorm()], (2, 7)),
    "Dropout": ([L.Dense(5), L.Dropout(0.4), L.Dense(2)], (3,)),
    "LayerNorm": ([L.LayerNorm(), L.Dense(3)], (2, 5)),
    "RMSNorm": ([L.Dense(5), L.RMSNorm()], (3,)),
    "GroupNorm": ([L.GroupNorm(2), L.Dense(3)], (6, 5)),
    "Attention": ([L.Attention(2, 3, mask="seen")], (5, 7)),
    "TransformerBlock": ([L.TransformerBlock(4, 2, 7, causal=True)], (3, 4)),
    "RNN": ([L.RNN(5, reverse=True, mask="seen")], (3, 2)),
    "GRU": ([L.GRU(3, initial="parameter", return_sequences=False)], (5, 2)),
    "LSTM": ([L.LSTM(3, peepholes=True, truncate=2)], (5, 2)),
    "Bidirectional": ([L.Bidirectional(L.GRU(3)), L.Dense(2)], (5, 2)),
    "Flatten": ([L.Flatten(), L.Dense(2)], (3, 5)),
    "Permute": ([L.Permute(2, 1), L.Dense(2)], (3, 5)),
    "Reshape": ([L.Reshape((2, -1)), L.Dense(5)], (3, 4)),
    "Slice": ([L.Slice(1, 1, None, 2), L.Dense(3)], (7, 2)),
}  # fmt: skip
BASES = {L.Layer, L.Recurrent}


@pytest.mark.parametrize("name", some(["Parallel", "Conv1D", "GroupNorm", "Slice"], LAYERS))
def test_layer(name):
    layers, sample, *classes = LAYERS[name]
    net = gl.Sequential(layers, sample, input_classes=classes[0] if classes else None, loss=gl.losses.SquaredError())
    wrt = [tensor.name for tensor in net.parameters] + ([] if classes else ["x"])
    assert_as_reference(net, wrt=wrt)


def test_every_layer_is_there():
    known = {name for name, value in vars(L).items() if isinstance(value, type) and issubclass(value, L.Layer)}
    assert set(LAYERS) == known - {base.__name__ for base in BASES}


@slow
@pytest.mark.parametrize("name", test_layers_torch.CASES)
def test_layer_of_symbolic_sizes(name):
    test_layers_torch.CASES[name].check({"B": 3, "T": 4, "n": 5, "m": 3, "h": 2}, 1, ["cuda"])


# ---- derived networks --------------------------------------------------------------------------------------------

DERIVED = [(name, how) for name in second.CASES for how in ("hessian_vector", "jvp")]


@pytest.mark.parametrize(("name", "how"), some([("embedding", "jvp"), ("residual", "hessian_vector")], DERIVED))
def test_derivatives_of_higher_order(name, how):
    net = second.made(name, how)
    sizes, _ = second.values_of(name, 1)
    assert_as_reference(net, sizes={size: number for size, number in sizes.items() if size != "B"})


@pytest.mark.parametrize("derive", [gl.per_example, pytest.param(gl.gauss_newton_vector, marks=slow)])
def test_other_derived_networks(derive):
    layers = [L.Dense(5, gl.tanh), L.Dense(3)]
    assert_as_reference(derive(gl.Sequential(layers, (7,), loss=gl.losses.CrossEntropy("labels"))))


# ---- what networks may lack --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", some(["max_circuit", "many_axes", "awkward_names"], kernels.CASES))
def test_circuits_and_networks_of_equations(name):
    """With and without a batch axis, parameters, functions, symbolic sizes; against the interpreter."""
    network, source, values = kernels.made(name, "cuda")
    output, loss, gradients = kernels.run(device_module(source, "float64"), network, values)
    wanted = kernels.expected(network, values)
    assert loss == pytest.approx(float(wanted[network.loss.name]), rel=1e-11)
    if output is not None:
        last = network.output if len(network.equations) > 1 else network.loss
        assert relative_error(output, wanted[last.name]) < 1e-11
    for name in gradients:
        assert relative_error(gradients[name], np.reshape(wanted[name], gradients[name].shape)) < 1e-10


@pytest.mark.parametrize("name", gates.ODD)
def test_odd_functions(name):
    assert_as_reference(gates.ODD[name]()[0], wrt=["x", "w"])


@pytest.mark.parametrize("shape", [(3,), pytest.param((2, 5), marks=slow)])
def test_a_network_without_a_loss_predicts(shape):
    net = gl.Sequential([L.Dense(5, gl.tanh), L.BatchNorm(), L.Dense(2)], shape)
    net.set_output(net.equations[-1].target.name)
    assert net.loss is None
    assert_as_reference(net)


def test_a_network_without_an_output_has_none():
    net = gl.Network("pair")
    B, i = gl.dims("B"), gl.indices("i")
    x, y, w = net.input("x", (B,)), net.target("y", (B,)), net.parameter("w")
    net.minimize(gl.Sum((w * x[i] - y[i]) ** 2, i) / B)
    assert not hasattr(kernels.plain(generate(net, target="numpy").source), "predict")
    assert_as_reference(net)


def test_frozen_parameters_stay():
    net = gl.Sequential([L.Dense(7, gl.tanh), L.Dense(3)], (5,), loss=gl.losses.SquaredError())
    net.freeze("W1", "b2")
    assert_trained_alike(net, gl.optimizers.AdamW(lr=gl.schedules.Cosine(0.05, 5), weight_decay=0.1))


OTHERS = {
    "nesterov": lambda: gl.optimizers.SGD(lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.1),
    "RMSProp": lambda: gl.optimizers.RMSProp(lr=0.01, clip_value=0.1),
    "AdaGrad": lambda: gl.optimizers.AdaGrad(lr=0.1, lr_decay=0.1),
}


@slow
@pytest.mark.parametrize("name", OTHERS)
def test_other_optimizers(name):
    net = gl.Sequential([L.Dense(5, gl.tanh), L.Dense(3)], (7,), loss=gl.losses.SquaredError())
    assert_trained_alike(net, OTHERS[name]())


# ---- names -------------------------------------------------------------------------------------------------------


def named(batch, data, weight, noise):
    """A network with whatever names: of the batch size, data, a parameter; noise with a batch axis and without."""
    N, (i, j) = gl.dims(batch), gl.indices("i j")
    net = gl.Network("named")
    x, y, w = net.input(data, (N, 3)), net.target("y", (N,), classes=3), net.parameter(weight, (3,))
    u, v = net.noise(noise, (3,)), net.noise(f"{noise}_each", (N, 3))
    plain = gl.tanh(x[i, j] * w[j])
    a = net.define("a", (i, j), plain + u[j] * v[i, j] * w[j], inference=plain)
    net.minimize(gl.Sum(a[i, j] ** 2, i, j) / N + gl.Sum(w[y[i]] ** 2, i))
    return net


@pytest.mark.parametrize(
    "names", [("N", "B", "tile_1", "STAGE"), pytest.param(("number", "LOSS", "OFFSETS_1", "at"), marks=slow)]
)
def test_names_that_kernels_use_themselves(names):
    net = named(*names)
    assert_as_reference(net)
    assert_trained_alike(net, gl.optimizers.SGD(lr=0.01))


def test_what_a_module_is_made_of_is_reserved():
    """A local variable of such a name would hide what the function calls."""
    layers = [L.Conv2D(3, 3, padding=1), L.MaxPool2D(2), L.Flatten(), L.BatchNorm(), L.Dropout(0.3), L.Dense(5)]
    net = gl.Sequential(layers, (2, 6, 4), loss=gl.losses.CrossEntropy("labels"))
    source = generate(net, target="cuda", optimizer=gl.optimizers.Adam(clip_norm=1)).source
    own = source[source.index("# ---- The network") :]
    read = set()
    for function in ast.parse(own).body:
        names = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
        local = {node.id for node in names if isinstance(node.ctx, ast.Store)}
        local |= {argument.arg for argument in function.args.args}
        read |= {node.id for node in names} - local
    assert {"cuda", "real", "grid_barrier", "tile_1", "SCALARS", "range"} <= read
    assert {name for name in read if Names().free(name) == name} == set()
