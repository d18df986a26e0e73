"""A device that is simulated thread by thread (`lockstep`), in the place of a GPU under a `DeviceModule`.

`assert_as_reference` compares a network's kernels on it with the reference target.
"""

from __future__ import annotations

import types
from typing import Any

import lockstep
import numpy as np
import pytest
import sympy

import gradloom as gl
from gradloom.codegen.cuda import write
from gradloom.codegen.cuda_tiles import Tile
from gradloom.codegen.generate import generate
from gradloom.runtime.cuda_host import host_module
from gradloom.runtime.cuda_module import DeviceModule

SMALL = Tile(16, 8, 16, 2, 2)  # a block of one warp: simulated threads take their time


class Buffer:
    def __init__(self, count: int, dtype: Any, numbers: Any = None, pointer: int = 0) -> None:
        self.count, self.dtype, self.pointer = count, np.dtype(dtype), pointer
        poison = np.nan if self.dtype.kind == "f" else -(2**30)
        self.numbers = np.full(max(count, 1), poison, dtype) if numbers is None else numbers


class SimulatedDevice:
    """What `gradloom.runtime.cuda_device.Device` is to a `DeviceModule`; memory is poisoned."""

    is_lost = False
    speed = 1e12  # operations a second, as trainings believe

    def __init__(self, blocks: int = 2, order: Any = "forward", races: bool = True) -> None:
        self.blocks, self.order, self.races = blocks, order, races
        self.copied = {"to": 0, "from": 0}  # numbers, so far

    def buffer(self, count: int, dtype: Any) -> Buffer:
        return Buffer(count, dtype)

    def part(self, buffer: Buffer, start: int, count: int) -> Buffer:
        assert start + count <= buffer.count
        begin = buffer.pointer + start * buffer.dtype.itemsize
        return Buffer(count, buffer.dtype, buffer.numbers[start : start + count], begin)

    def clear(self, buffer: Buffer) -> None:
        buffer.numbers[:] = 0

    def copy(self, to: Buffer, of: Buffer) -> None:
        to.numbers[: of.count] = of.numbers[: of.count]

    def write(self, buffer: Buffer, array: Any) -> None:
        self.copied["to"] += array.size
        buffer.numbers[: array.size] = array.reshape(-1)

    def read(self, buffer: Buffer, start: int, array: Any) -> None:
        self.copied["from"] += array.size
        array[...] = buffer.numbers[start : start + array.size].reshape(array.shape)

    def operations(self, dtype: Any) -> float:
        return self.speed

    def let_go(self, buffers: Any) -> None:
        """Nothing is at work when a launch has returned."""

    def compile(self, function: Any, kinds: Any, threads: int, shared: int = 0) -> Any:
        module = function.__globals__["simulated"]
        return types.SimpleNamespace(module=module, name=function.__name__, most_blocks=self.blocks, shared=shared)

    def launch(self, kernel: Any, threads: int, arguments: Any, most: int) -> None:
        assert all(one.pointer % 16 == 0 for one in arguments if isinstance(one, Buffer))
        given = tuple(one.numbers if isinstance(one, Buffer) else one for one in arguments)
        blocks = min(most, kernel.most_blocks)
        options = {"order": self.order, "races": self.races, "declared_alignment": True}
        kernel.module.launch(kernel.name, (blocks,), (threads,), given, kernel.shared, **options)


def host_part(source: str) -> types.ModuleType:
    """What of a generated CUDA module the host runs; `simulated` there is what its kernels are."""
    module = host_module(source)
    module.simulated = lockstep.load(
        source, kernels=["kernel"], devices=["device"], collectives={"grid_barrier": "grid"}
    )
    return module


def small_tiles(monkeypatch: Any) -> None:
    """Generate kernels for blocks of one warp."""
    monkeypatch.setattr(write, "TILES", (SMALL,))


def device_module(source: str, dtype: Any, **options: Any) -> DeviceModule:
    """A generated CUDA module on a simulated device."""
    return DeviceModule(host_part(source), SimulatedDevice(**options), dtype)


# ---- against the reference target --------------------------------------------------------------------------------


def drawn(net, rows, seed=0, sizes=None):
    """Random inputs and targets; what is declared one-hot is."""
    numbers = {gl.Dim(name): size for name, size in (sizes or {}).items()} | {net.batch: rows}
    rng, data = np.random.default_rng(seed), []
    for tensor in (*net.inputs, *net.targets):
        shape = tuple(int(sympy.sympify(size).xreplace(numbers)) for size in tensor.shape)
        if tensor.classes is not None:
            data.append(rng.integers(0, int(sympy.sympify(tensor.classes).xreplace(numbers)), shape))
        elif any(fact.tensor == tensor for fact in net.facts):
            data.append(np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])])
        else:
            data.append(rng.standard_normal(shape))
    return data


def start(module, dtype, seed=1):
    """Parameters; the variances of a normalisation are positive."""
    size = max((place + int(np.prod(shape)) for place, shape in module.PARAMETERS.values()), default=0)
    flat = np.random.default_rng(seed).standard_normal(size) * 0.5
    for name, (place, shape) in module.PARAMETERS.items():
        if "var" in name:
            flat[place : place + int(np.prod(shape))] += 3
    return flat.astype(dtype)


def assert_as_reference(net, rows=3, sizes=None, wrt=None, schedule=None):
    """Loss, gradients and output in float64, in training and in inference, as far as the network has them."""
    source = generate(net, target="cuda", dtype="float64", sizes=sizes, wrt=wrt, schedule=schedule).source
    module = device_module(source, "float64")
    program = net.compile(target="numpy", dtype="float64", sizes=sizes, wrt=wrt)
    reference, data, flat = program.module, drawn(net, rows, sizes=sizes), start(module, float)

    def work():
        return module.workspace(rows), program.workspace(rows)

    if net.loss is not None:
        noise, places = program.noise(rows), reference.gradient_places(rows)
        assert module.gradient_places(rows) == places
        length = max(at + int(np.prod(shape)) for at, shape in places.values())
        found, known = np.full(length, np.nan), np.full(length, np.nan)
        losses = [
            float(one.loss_and_gradients(flat, *data, *noise, space, grads))
            for one, space, grads in zip((module, reference), work(), (found, known), strict=True)
        ]
        assert losses[0] == pytest.approx(losses[1], rel=1e-11)
        for name, (at, shape) in places.items():
            own = slice(at, at + int(np.prod(shape)))
            scale = np.abs(known[own]).max()
            np.testing.assert_allclose(found[own], known[own], rtol=1e-9, atol=1e-11 * scale + 1e-14, err_msg=name)
    if net.is_of_training and net.has_modes:
        return
    pairs = list(zip((module, reference), work(), strict=True))
    if net.loss is not None:
        losses = [float(one.loss(flat, *data, space)) for one, space in pairs]
        assert losses[0] == pytest.approx(losses[1], rel=1e-11)
    assert hasattr(module, "predict") == hasattr(reference, "predict")
    if hasattr(module, "predict"):
        inputs = data[: len(net.inputs)]
        outputs = [one.predict(flat, *inputs, space) for one, space in pairs]
        np.testing.assert_allclose(outputs[0], outputs[1], rtol=1e-10, atol=1e-12)


def trained(module, network, optimizer, dtype, rows=7, batch=3, passes=2):
    """Parameters, state, sums of losses and steps after some passes, the last mini-batches shorter."""
    params, data = start(module, dtype), drawn(network, rows)
    grads, state = np.zeros_like(params), np.zeros((len(module.STATE), module.TRAINABLE), params.dtype)
    hyper = np.array([optimizer.values[name] for name in module.HYPER])
    seed = (7,) if network.noises else ()
    found, step = [], 0
    for order in np.random.default_rng(3).permuted(np.tile(np.arange(rows), (passes, 1)), axis=1):
        work = module.workspace(batch)
        total, done = module.epoch(params, grads, state, *data, order, batch, hyper, step, *seed, work)
        found.append(float(total))
        step += done
    return params, state, found, step


def assert_trained_alike(net, rule):
    """Several steps of training in float64, as the reference target does them."""
    source = generate(net, target="cuda", dtype="float64", optimizer=rule).source
    reference = net.compile(target="numpy", dtype="float64", optimizer=rule)
    params, state, losses, steps = trained(device_module(source, "float64"), net, rule, float)
    known = trained(reference.module, net, rule, float)
    np.testing.assert_allclose(params, known[0], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(state, known[1], rtol=1e-8, atol=1e-10)
    assert losses == pytest.approx(known[2], rel=1e-9)
    assert steps == known[3] == 6
