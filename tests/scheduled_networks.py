"""Networks of any sizes with any schedule, for hypothesis to draw, and how each is trained and compared.

A kernel that is drawn is compared with the target "numpy" in float64. Single precision must not decide otherwise at a
kink: there, networks with kinks are linear between them and their numbers are small fractions, exact in both.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from kernels import data, plain

import gradloom as gl
from gradloom.codegen.generate import generate
from gradloom.codegen.kernel_schedule import EPOCHS, SUMS, WAYS, WORKSPACES
from gradloom.runtime.threads import operations_per_row
from gradloom.symbolic.errors import UndefinedError, UnsupportedError

L, losses = gl.layers, gl.losses

SMOOTH = [gl.tanh, gl.sigmoid, gl.softplus, gl.silu, gl.gelu, gl.gelu_tanh, gl.softmax, gl.identity]
KINKED = [gl.relu, gl.leaky_relu, gl.elu]
EXACT = [gl.relu, gl.identity]  # small fractions stay small fractions
UNROLLED = 300  # operations per row that may be written out one by one
TOLERANCE = {"float64": 1e-9, "float32": 2e-3}


@dataclass(frozen=True)
class Case:
    """What was drawn; equal cases give equal numbers."""

    layers: list[Any]
    shape: tuple[int, ...]
    loss: Any
    rows: int
    batch: int
    reckoned: int  # with about so many rows the cost models reckon
    dtype: str
    is_exact: bool
    threads: int
    optimizer: Any
    epoch: str | None
    workspace: str | None
    sums: str | None
    ways: list[str]
    checkpoint: int | None

    @functools.cached_property
    def network(self) -> Any:
        network = gl.Sequential(self.layers, self.shape, loss=self.loss)
        derive = functools.cache(network.derive)  # for both targets
        network.derive = lambda wrt=None: derive(None if wrt is None else tuple(wrt))
        return network


@dataclass
class Family:
    """Draws layers of one kind, with sizes up to `largest` whose products stay below `limit`."""

    draw: Any
    largest: int
    limit: int
    activations: list[Any]
    is_exact: bool

    def sizes(self, count: int, limit: int | None = None) -> list[int]:
        """So many sizes; any of them may be the one that is large."""
        left = self.limit if limit is None else limit
        found = [1] * count
        for place in self.draw(st.permutations(range(count))):
            found[place] = self.draw(st.integers(1, max(1, min(self.largest, left))))
            left //= found[place]
        return found

    def pick(self, options: Any) -> Any:
        return self.draw(st.sampled_from(list(options)))

    def chance(self) -> bool:
        return self.draw(st.booleans())

    def activation(self) -> Any:
        return self.pick(self.activations)

    def dense(self) -> tuple[list[Any], tuple[int, ...]]:
        inputs, *widths = self.sizes(self.draw(st.integers(2, 4)), self.limit**2)
        made: list[Any] = []
        for width in widths:
            made.append(L.Dense(width, self.activation(), bias=self.chance()))
            if not self.is_exact and len(made) == 1:
                made += self.pick([[], [], [], [L.LayerNorm()], [L.BatchNorm()], [L.Dropout(0.3)]])
        return made, (inputs,)

    def convolutions(self) -> tuple[list[Any], tuple[int, ...]]:
        rank = self.pick([2, 2, 1])
        channels, filters, *sizes = self.sizes(2 + 2 * rank)
        lengths, kernel = sizes[:rank], sizes[rank:]
        dilation = [self.pick([1, 1, 2]) for _ in lengths]
        spread = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
        # At least so much padding that the kernel fits.
        padding = [
            max(-(-(s - n) // 2), self.draw(st.integers(0, max(0, s - 1))))
            for s, n in zip(spread, lengths, strict=True)
        ]
        room = [n + 2 * p - s for n, p, s in zip(lengths, padding, spread, strict=True)]
        stride = [self.draw(st.integers(1, max(1, min(r + 1, 5)))) for r in room]
        kind = getattr(L, f"Conv{rank}D")
        made = [kind(filters, kernel, stride, padding, dilation, bias=self.chance(), activation=self.activation())]
        lengths = [r // s + 1 for r, s in zip(room, stride, strict=True)]
        if self.chance():
            size = [self.draw(st.integers(1, min(n, 5))) for n in lengths]
            apart = [self.draw(st.integers(1, 4)) for _ in lengths]
            smooth = not self.is_exact and gl.relu not in self.activations
            made.append(getattr(L, f"{'Average' if smooth else self.pick(['Max', 'Average'])}Pool{rank}D")(size, apart))
            lengths = [(n - s) // a + 1 for n, s, a in zip(lengths, size, apart, strict=True)]
        if self.chance():
            second = [self.draw(st.integers(1, min(n, 3))) for n in lengths]
            made.append(kind(self.draw(st.integers(1, 5)), second, activation=self.activation()))
        made += [L.Flatten(), L.Dense(self.draw(st.integers(1, 7)))] if self.chance() else [L.Flatten()]
        return made, (channels, *sizes[:rank])

    def recurrent(self) -> tuple[list[Any], tuple[int, ...]]:
        steps, inputs, *units = self.sizes(self.draw(st.integers(3, 4)), self.limit * 100)
        made = []
        for place, width in enumerate(units):
            kind = self.pick([L.RNN, L.GRU, L.LSTM])
            is_last = place == len(units) - 1
            made.append(kind(width, return_sequences=not is_last or self.chance(), bias=self.chance()))
        if self.chance():
            made.append(L.Dense(self.draw(st.integers(1, self.largest)), self.activation()))
        return made, (steps, inputs)

    def attention(self) -> tuple[list[Any], tuple[int, ...]]:
        steps, inputs, heads, units = self.sizes(4)
        if self.pick([True, True, True, False]):
            made = [L.Attention(heads, units, causal=self.chance(), bias=self.chance())]
        else:
            heads = max(h for h in range(1, heads + 1) if inputs % h == 0)
            made = [L.TransformerBlock(inputs, heads, units, self.activation(), causal=self.chance())]
        return [*made, *self.pick([[], [L.Flatten(), L.Dense(3)]])], (steps, inputs)


FAMILIES = ("dense", "convolutions", "recurrent", "attention")


@st.composite
def cases(draw: Any, largest: int, limit: int, families: Any = FAMILIES) -> Case:
    """A case with sizes from 1 to `largest`, of which about `limit` multiply."""
    family = draw(st.sampled_from(list(families)))
    dtype = draw(st.sampled_from(["float64", "float32"]))
    has_kinks = family in ("dense", "convolutions") and draw(st.booleans())
    is_exact = has_kinks and dtype == "float32"
    activations = EXACT if is_exact else [*SMOOTH, *KINKED] if has_kinks else SMOOTH
    made = Family(draw, largest, limit, activations, is_exact)
    layers, shape = getattr(made, family)()
    options = [losses.SquaredError(), losses.CrossEntropy("labels"), losses.BinaryCrossEntropy()]
    options += [losses.CrossEntropy(), losses.SquaredError("mean")]
    options += [losses.AbsoluteError(), losses.Huber(0.7)] if has_kinks and not is_exact else []
    loss = draw(st.sampled_from(options))
    steps = shape[0] if family == "recurrent" else 1
    network = gl.Sequential(layers, shape, loss=loss)
    work = operations_per_row(network, {})
    most = max(1, min(largest, int(1000 * limit / work)))
    optimizers = [gl.optimizers.SGD(lr=0.01), gl.optimizers.SGD(lr=0.003, momentum=0.9, clip_norm=0.5)]
    return Case(
        layers=layers,
        shape=shape,
        loss=loss,
        rows=draw(st.integers(1, most)),
        batch=draw(st.integers(1, largest)),
        reckoned=draw(st.sampled_from([1, 8, 64, 512])),
        dtype=dtype,
        is_exact=is_exact,
        threads=draw(st.integers(1, 3)),
        # What it divides by may be 0 but for rounding.
        optimizer=draw(st.sampled_from([*optimizers, *([gl.optimizers.Adam(eps=1e-3)] if dtype == "float64" else [])])),
        epoch=draw(st.sampled_from([None, *EPOCHS] if work <= UNROLLED else [None, "calls"])),
        workspace=draw(st.sampled_from([None, *WORKSPACES])),
        sums=draw(st.sampled_from([None, *SUMS])),
        ways=draw(st.lists(st.sampled_from(["", *WAYS]), min_size=1, max_size=8)),
        # A network of one step has no recurrence.
        checkpoint=draw(st.integers(1, steps)) if family == "recurrent" and steps > 1 and draw(st.booleans()) else None,
    )


def source_of(case: Case) -> str:
    """The compiled target's source, where each product is computed as it was drawn, or in another way if it cannot."""
    chosen = {"epoch": case.epoch, "workspace": case.workspace, "sums": case.sums}

    def generated(products: dict[str, str]) -> str:
        return generate(
            case.network,
            dtype=case.dtype,
            batch=case.reckoned,
            optimizer=case.optimizer,
            schedule={**chosen, "products": products},
            checkpoint=case.checkpoint,
        ).source

    try:
        generated({"which": "loops"})
    except UndefinedError as error:
        names = [] if str(error).endswith("nothing") else str(error).split("products make ")[1].split(", ")
    ways = {name: case.ways[place % len(case.ways)] for place, name in enumerate(names)}
    ways = {name: way for name, way in ways.items() if way}
    refused: set[str] = set()
    for _ in range(2 * len(names) + 1):
        try:
            return generated(ways)
        except UnsupportedError as error:
            found = re.fullmatch(r"schedule: (\w+)'s product cannot be computed as .*; choose from (.*)", str(error))
            if not found:
                raise
            offered = re.findall(r"'(.*?)'", found[2])
            # Two products may make the sum that has a name, and not be offered the same.
            is_first = found[1] not in refused
            refused.add(found[1])
            ways[found[1]] = offered[names.index(found[1]) % len(offered)] if is_first else "loops"
    raise AssertionError(f"no schedule of {names} was found")


def values_of(case: Case) -> dict[str, np.ndarray]:
    """Numbers for everything, rows and all; products of weights stay about 1, or exact."""
    rng = np.random.default_rng([case.rows, case.batch, *case.shape])
    made = {}
    network = case.network
    for tensor in [*network.parameters, *network.states, *network.inputs, *network.targets]:
        shape = [case.rows if size == network.batch else int(size) for size in tensor.shape]
        if tensor.classes is not None:
            made[tensor.name] = rng.integers(0, int(tensor.classes), shape)
        elif tensor in network.targets:
            made[tensor.name] = rng.integers(0, 2, shape).astype(float)
            if isinstance(case.loss, losses.CrossEntropy):
                made[tensor.name] = np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]
        elif case.is_exact:
            made[tensor.name] = rng.integers(-3, 4, shape) / 4
        else:
            scale = 1 / np.sqrt(np.prod(shape[1:])) if tensor in network.parameters else 1.0
            made[tensor.name] = (rng.standard_normal(shape) * scale).astype(np.float32).astype(float)
            if tensor in network.states:
                made[tensor.name] = np.abs(made[tensor.name]) + 0.5
    return made


def train(case: Case, module: Any, dtype: str, threads: tuple[int, ...] = (), calls: bool = True) -> dict[str, Any]:
    """Losses, gradients and parameters of some epochs; the workspace and the gradients begin as NaN.

    Gradients are those of the last step too; with `calls` also those of a call with all rows.
    """
    values, network = values_of(case), case.network
    layout = module.PARAMETERS
    params = np.zeros(max(at + int(np.prod(shape)) for at, shape in layout.values()), dtype)
    for name, (at, shape) in layout.items():
        params[at : at + int(np.prod(shape))] = np.ravel(values[name])
    arrays = data(network, values, dtype)
    found: dict[str, Any] = {}
    work = module.workspace(max(case.rows, case.batch))
    if isinstance(work, np.ndarray):
        work[:] = np.nan

    def gradients(grads: Any, when: str) -> None:
        for name, (at, shape) in module.gradient_places(case.rows).items():
            found[f"{when}: {name}"] = grads[at : at + int(np.prod(shape))].copy()

    if calls:
        grads = np.full_like(params, np.nan)
        shapes = [[case.rows if size == network.batch else int(size) for size in t.shape] for t in network.noises]
        noise = [np.empty(shape, dtype) for shape in shapes]
        if noise:
            module.fill_noise(*noise, 5, 1)
        found["loss"] = module.loss_and_gradients(params, *arrays, *noise, work, grads)
        gradients(grads, "gradient")
    state = np.zeros((len(module.STATE), module.TRAINABLE), dtype)
    hyper = np.array([case.optimizer.values[name] for name in module.HYPER])
    grads, rng, done = np.full_like(params, np.nan), np.random.default_rng(case.rows), 0
    for epoch in range(1 if case.is_exact else 2):
        order = rng.permutation(case.rows)
        order = order[: case.batch] if case.is_exact else order
        seed = (7,) if network.noises else ()
        total, steps = module.epoch(
            params, grads, state, *arrays, order, case.batch, hyper, done, *seed, work, *threads
        )
        found[f"total {epoch}"], done = total, done + steps
    if not np.isnan(grads).all():  # an unrolled epoch needs no gradients in memory
        gradients(grads, "last gradient")
    found["steps"] = done
    for name, (at, shape) in layout.items():
        found[name] = params[at : at + int(np.prod(shape))].copy()
    return found


def differences(case: Case, found: dict[str, Any], wanted: dict[str, Any]) -> dict[str, float]:
    """How far each number is off, relative to the largest of its kind, where that is more than allowed."""

    def scale_of(name: str) -> float:
        kind, colon, _ = name.partition(":")
        alike = [value for other, value in wanted.items() if other.startswith(kind + colon)] if colon else []
        return max([np.abs(wanted[name]).max(), 1e-6, *(1e-3 * np.abs(value).max() for value in alike)])

    wrong = {}
    for name, value in found.items():
        error = np.abs(np.asarray(value, float) - wanted[name]).max() / scale_of(name)
        if not error <= TOLERANCE[case.dtype]:
            wrong[name] = float(error)
    return wrong


def reference(case: Case, calls: bool = True) -> dict[str, Any]:
    """The same by the target "numpy" in float64."""
    module = plain(generate(case.network, target="numpy", dtype="float64", optimizer=case.optimizer).source)
    with np.errstate(all="ignore"):
        return train(case, module, "float64", calls=calls)
