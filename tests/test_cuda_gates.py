"""The training kernels of whole networks, compiled for two kinds of GPU without one: what they may take at most.

`tests/test_cuda_compiler.py` limits the parts that kernels carry. The registers of each kernel are recorded as a
property of its test (``-o junit_family=legacy --junit-xml=FILE``), and printed with ``-s``.
"""

from __future__ import annotations

import linecache
import types
from itertools import count
from typing import Any

import kernels
import numpy as np
import pytest
import sympy
from simulated import drawn
from test_cuda_compiler import compiled
from test_cuda_networks import NETWORKS, OPTIMIZERS

import gradloom as gl
from gradloom.codegen.cuda import write
from gradloom.codegen.generate import generate
from gradloom.runtime import cuda_compiler
from gradloom.runtime.cuda_module import DeviceModule

L = gl.layers
MODULES = count()
# What kernels take with numba-cuda 0.30 and NVVM 13.0, registers of a thread and bytes of shared memory; other
# releases of the compiler may take a few registers more.
MARGIN = 6
TILES = 18_560  # bytes of the largest tiles in float32, twice as many in float64
REGISTERS = {  # of sm_80 and sm_90, float32, Adam with clipping
    "dense": (109, 110),
    "classifier": (125, 127),
    "convolution": (112, 103),
    "strides": (154, 120),
    "LSTM": (201, 140),
    "GRU": (185, 135),
    "symbols": (186, 157),
    "attention": (127, 128),
    "modes": (128, 106),
    "784-16-16-10": (139, 141),
    "images": (170, 168),
    "LSTM-128": (233, 230),
}
UPDATED = {  # of sm_90, float32, AdamW: parameters are updated where their gradients are made
    "dense": 103,
    "classifier": 113,
    "convolution": 95,
    "strides": 96,
    "LSTM": 136,
    "GRU": 131,
    "symbols": 161,
    "attention": 114,
    "modes": 101,
    "784-16-16-10": 121,
}
IN_DOUBLE = {"classifier": 144, "convolution": 127, "GRU": 168, "modes": 135, "784-16-16-10": 152}  # of sm_90
EQUATIONS = {  # float32 and float64 of sm_90, and bytes in float32
    "product_circuit": (22, 22, 0),
    "neuron_circuit": (24, 24, 0),
    "max_circuit": (30, 32, 0),
    "perceptron": (91, 111, TILES),
    "one_row": (91, 111, TILES),
    "classifier": (110, 119, TILES),
    "one_hot": (108, 119, TILES),
    "many_axes": (94, 122, TILES),
    "arithmetic": (40, 72, 0),
    "awkward_names": (60, 56, 128),
    "argmax": (48, 50, 128),
    "conditions": (62, 96, 128),
}
# Of trainings in which each block does everything small for itself, with Adam, for sm_90: float32 and float64. They
# take all shared memory that a block has without asking, for rows of the batch.
BY_BLOCK = {"2-2-2": (72, 64), "784-16-16-10": (93, 144)}
WHOLE = 48 * 1024
# What powers, sines and cosines of double precision call, by the library; nothing else is called.
LIBRARY = ("__internal_accurate_pow,", "__internal_trig_reduction_slowpathd,")


def perceptron():
    return gl.Sequential(
        [L.Dense(16, gl.sigmoid), L.Dense(16, gl.sigmoid), L.Dense(10)], (784,), loss=gl.losses.SquaredError()
    )


def images():
    """Windows over images of 64×64: the tables of their places are longer than the 64 kB of constant memory."""
    convolutions = [L.Conv2D(filters, 3, padding=1, activation=gl.relu) for filters in (16, 24, 32, 32)]
    layers = [layer for one in convolutions for layer in (one, L.MaxPool2D(2))]
    return gl.Sequential([*layers, L.Flatten(), L.Dense(10)], (3, 64, 64), loss=gl.losses.CrossEntropy("labels"))


def two_two_two():
    return gl.Sequential([L.Dense(2, gl.sigmoid), L.Dense(2, gl.sigmoid)], (2,), loss=gl.losses.SquaredError())


def long_lstm():
    """Too large for one block: its steps of time are done by warps of all blocks."""
    return gl.Sequential([L.LSTM(128), L.Dense(65)], (100, 65), loss=gl.losses.CrossEntropy("labels"))


ALONE = {"2-2-2": two_two_two, "784-16-16-10": perceptron}
ALL = {**NETWORKS, "784-16-16-10": perceptron, "images": images, "LSTM-128": long_lstm}


class CompilingDevice:
    """In the place of a GPU: kernels are compiled for its kind, and not run."""

    def __init__(self, cc: tuple[int, int]) -> None:
        self.cc = cc
        self.ptx: Any = None
        self.cubin: Any = None

    def buffer(self, count: int, dtype: Any) -> Any:
        return types.SimpleNamespace(count=count, dtype=np.dtype(dtype))

    def clear(self, buffer: Any) -> None:
        pass

    def write(self, buffer: Any, array: Any) -> None:
        assert array.size <= buffer.count

    def read(self, buffer: Any, start: int, array: Any) -> None:
        assert start + array.size <= max(buffer.count, 1)
        array[...] = 0

    def compile(self, function: Any, kinds: Any, threads: int, shared: int = 0) -> None:
        self.ptx = cuda_compiler.compile_ptx(function, kinds, self.cc, threads)
        self.cubin = cuda_compiler.cubin(self.ptx, self.cc)

    def launch(self, function: Any, threads: int, arguments: Any, most: int) -> None:
        pass


def loaded(source):
    file = f"<network {next(MODULES)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    module = types.ModuleType("network")
    exec(compile(source, file, "exec"), module.__dict__)
    return module


def train_kernel(net, dtype, cc, rule=None, schedule=None):
    """What the training kernel takes, compiled as an epoch asks for it; by default with Adam and clipping."""
    rule, device = rule or OPTIMIZERS["Adam"](), CompilingDevice(cc)
    source = generate(net, target="cuda", dtype=dtype, optimizer=rule, schedule=schedule).source
    module = DeviceModule(loaded(source), device, dtype)
    size = max(place + int(np.prod(shape)) for place, shape in module.PARAMETERS.values())
    params = np.zeros(size, dtype)
    state = np.zeros((len(module.STATE), module.TRAINABLE), dtype)
    hyper = np.array([rule.values[name] for name in module.HYPER])
    seed = (7,) if net.noises else ()
    data = drawn(net, 5)
    module.epoch(params, params.copy(), state, *data, np.arange(5), 3, hyper, 0, *seed, module.workspace(3))
    return device


def assert_within_limits(device, record_property, registers, shared_most, local=0):
    found, counts = device.cubin.resources, cuda_compiler.counts(device.ptx)
    shared = max(0, found.shared - 1024 * (device.cc >= (9, 0)))
    record_property("registers", found.registers)
    record_property("shared", shared)
    print(f"{found.registers} registers, {shared} bytes of shared memory")
    assert found.local <= local
    assert found.spills == 0
    assert counts["long_divisions"] == 0
    assert counts["calls"] == sum(map(device.ptx.text.count, LIBRARY))
    assert 0 < found.registers <= registers + MARGIN
    assert shared <= shared_most
    return counts


def cases(every_day):
    pairs = [(name, cc) for name in ALL for cc in ((8, 0), (9, 0)) if (name, cc) != ("images", (8, 0))]  # long
    marks = {pair: [] if pair in every_day else [pytest.mark.slow] for pair in pairs}
    return [pytest.param(name, cc, marks=marks[name, cc], id=f"{name}-sm_{cc[0]}{cc[1]}") for name, cc in pairs]


@compiled
@pytest.mark.parametrize(("name", "cc"), cases([("784-16-16-10", (9, 0)), ("modes", (8, 0))]))
def test_training_kernels_are_lean(name, cc, record_property):
    shared = 128 if name == "strides" else TILES
    device = train_kernel(ALL[name](), "float32", cc)
    counts = assert_within_limits(device, record_property, REGISTERS[name][cc == (9, 0)], shared)
    assert counts["float64"] == 0
    # Loads past the coherent caches would miss what another block wrote before a wait for all of them.
    assert counts["read_only"] == 0


@compiled
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "784-16-16-10" else [pytest.mark.slow]) for name in UPDATED]
)
def test_training_kernels_that_update_where_gradients_are_made(name, record_property, monkeypatch):
    monkeypatch.setattr(write, "training_by_block", lambda *_: None)  # which some of them have in the place of this one
    shared = 128 if name == "strides" else TILES
    device = train_kernel(ALL[name](), "float32", (9, 0), gl.optimizers.AdamW())
    counts = assert_within_limits(device, record_property, UPDATED[name], shared)
    assert counts["float64"] == counts["read_only"] == 0


@compiled
@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", BY_BLOCK)
def test_trainings_of_blocks_by_themselves(name, dtype, record_property):
    device = train_kernel(ALONE[name](), dtype, (9, 0), gl.optimizers.Adam())
    counts = assert_within_limits(device, record_property, BY_BLOCK[name][dtype == "float64"], WHOLE)
    assert (counts["float64"] > 0) == (dtype == "float64")
    # Pointers are known to point to shared or to global memory; nothing is read past the coherent caches.
    assert counts["generic"] == counts["read_only"] == 0


@compiled
@pytest.mark.slow
@pytest.mark.parametrize("name", IN_DOUBLE)
def test_training_kernels_in_double_precision(name, record_property):
    device = train_kernel(ALL[name](), "float64", (9, 0))
    counts = assert_within_limits(device, record_property, IN_DOUBLE[name], 2 * TILES)
    assert counts["float64"] > 0


@compiled
@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", EQUATIONS)
def test_all_sorts_of_equations_are_compiled(name, dtype, record_property):
    """Of types a simulation says little: a variable has one, and a bare literal is double precision."""
    if name in ODD:
        network, data = ODD[name]()
        source = generate(network, target="cuda", dtype=dtype, wrt=["x", "w"]).source
    else:
        network, source, values = kernels.made(name, "cuda", dtype)
        data = kernels.data(network, values, dtype)
    device = CompilingDevice((9, 0))
    module = DeviceModule(loaded(source), device, dtype)
    rows = next((len(array) for array in data if array.ndim), 1)
    size = max([place + int(np.prod(shape)) for place, shape in module.PARAMETERS.values()], default=0)
    module.loss_and_gradients(np.zeros(size, dtype), *data, module.workspace(rows), None)
    waves = name in ("arithmetic", "many_axes")
    double = dtype == "float64"
    *registers, shared = EQUATIONS[name]
    local = WAVES_LOCAL[double] if waves else 0
    counts = assert_within_limits(device, record_property, registers[double], shared * (1 + double), local)
    if double:
        assert counts["float64"] > 0
    else:
        assert counts["float64"] == 3 * device.ptx.text.count(WAVES_FACTOR)
        assert waves == (WAVES_FACTOR in device.ptx.text)


# The sine and the cosine bring large arguments into range with a table in local memory, of so many bytes in float32 and
# in float64. In float32 they end with a product in double precision with this factor, π/2 2⁻⁶⁴: three instructions with
# the casts around it.
WAVES_FACTOR, WAVES_LOCAL = "0d3BF921FB54442D19", (32, 40)


def test_every_case_has_its_limits():
    assert REGISTERS.keys() == ALL.keys()
    assert EQUATIONS.keys() == kernels.CASES.keys() | ODD
    assert BY_BLOCK.keys() == ALONE.keys()


def first_maximum():
    """A whole number that is computed, read in another phase as a position and as a number."""
    B, (i, j, k) = gl.dims("B"), gl.indices("i j k")
    net = gl.Network("first_maximum")
    x, w = net.input("x", (B, 5)), net.parameter("w", (5,))
    largest = gl.ArgMax(w[k] * x[i, k], k)
    a = net.define("a", i, gl.Sum(sympy.KroneckerDelta(j, largest) * x[i, j] * w[j], j))
    net.minimize(gl.Sum(a[i] ** 3, i) / B)
    return net, [np.ones((3, 5))]


def conditions():
    """Cases of values and positions, functions that few networks have, powers of all kinds."""
    B, (i, j) = gl.dims("B"), gl.indices("i j")
    net = gl.Network("conditions")
    x, w = net.input("x", (B, 5)), net.parameter("w", (5,))
    u = x[i, j] * w[j]
    cases = sympy.Piecewise((u**3, sympy.And(u > -1, j > 2)), (sympy.sign(u) * abs(u) ** 1.7, u < 0), (2**u, True))
    others = sympy.floor(u) * u + sympy.Max(u, w[j], 0) + sympy.asinh(u) + sympy.cosh(u) + sympy.atan(u) * j / B
    smooth = gl.softplus(u) + gl.gelu(u) + sympy.log(1 + sympy.exp(w[j]) + sympy.exp(x[i, j]))
    a = net.define("a", (i, j), cases + others + smooth + gl.padded(x[i, j - 1]) * (j % 3))
    net.minimize(gl.Sum(a[i, j] ** 2, i, j) / B + gl.Max(w[j], j))
    return net, [np.ones((3, 5))]


ODD = {"argmax": first_maximum, "conditions": conditions}
