"""How the cost of a step grows with the batch, the depth and the number of steps of time, and what depth costs before.

``python -m benchmarks.scaling`` prints tables and writes ``benchmarks/results/scaling.json``, ``.png``. Time per step
is linear if the slope of its logarithm, over that of the size, is at most 1: it is fitted by least squares, over the
minima of rounds, in which all sizes are measured in turn.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .machine import description
from .report import rounded, short, table

MLP = (64, 64)  # width and depth


def mlp(depth: int) -> Any:
    import gradloom as gl

    layers = [gl.layers.Dense(MLP[0], gl.tanh) for _ in range(depth)]
    return gl.Sequential([*layers, gl.layers.Dense(10)], input_shape=MLP[0], loss=gl.losses.SquaredError())


def lstm(length: int) -> Any:
    import gradloom as gl

    layers = [gl.layers.LSTM(32), gl.layers.Dense(10)]
    return gl.Sequential(layers, input_shape=(length, 16), loss=gl.losses.SquaredError())


# What grows: how the network is made of a size, its batch, the sizes.
CASES: dict[str, tuple[Callable[[int], Any], Callable[[int], int], tuple[int, ...]]] = {
    "batch": (lambda size: mlp(4), lambda size: size, (16, 32, 64, 128, 256, 512)),
    "depth": (mlp, lambda size: 64, (2, 4, 8, 16, 32)),
    "steps of time": (lstm, lambda size: 16, (8, 16, 32, 64, 128)),
}


def stepper(network: Any, batch: int) -> Callable[[], None]:
    """One step on random data, by the epoch kernel."""
    import gradloom as gl

    program = network.compile(batch=batch, optimizer=gl.optimizers.SGD(lr=1e-3))
    module, rng = program.module, np.random.default_rng(0)
    params = {name: rng.standard_normal(shape) / 8 for name, (_, shape) in module.PARAMETERS.items()}
    shapes = [(batch, *map(int, tensor.shape[1:])) for tensor in (*network.inputs, *network.targets)]
    data = program.check([rng.standard_normal(shape) for shape in shapes], {}).arrays
    flat = program.flat(params)
    grads, state = np.zeros_like(flat), np.zeros((len(module.STATE), module.TRAINABLE), flat.dtype)
    hyper, order, work = np.array([1e-3]), np.arange(batch), program.workspace(batch)
    return lambda: module.epoch(flat, grads, state, *data, order, batch, hyper, 0, work)


def slope(sizes: list[int], times: list[float]) -> float:
    """Of log time over log size: 1 where the time is proportional to the size."""
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0])


def grown(name: str, rounds: int, seconds: float) -> dict[str, Any]:
    """Microseconds a step for every size: samples, and the fitted slope of their minima."""
    network, batch, sizes = CASES[name]
    steps = [stepper(network(size), batch(size)) for size in sizes]
    samples: list[list[float]] = [[] for _ in sizes]
    for step in steps:
        step()
    for _ in range(rounds):
        for step, found in zip(steps, samples, strict=True):
            begun = time.perf_counter()
            while time.perf_counter() - begun < seconds:
                at = time.perf_counter()
                step()
                found.append((time.perf_counter() - at) * 1e6)
    kept = [[float(q) for q in np.quantile(found, [0, 0.25, 0.5, 0.75])] for found in samples]
    half = len(sizes) // 2
    return {
        "sizes": list(sizes),
        "least_and_quartiles_us": kept,
        "slope": slope(list(sizes), [row[0] for row in kept]),
        "slope_of_the_larger_half": slope(list(sizes[half:]), [row[0] for row in kept[half:]]),
    }


def deep(depth: int) -> dict[str, float]:
    """Seconds to declare, to derive, and to generate the code of a network of so many layers; nothing is compiled."""
    from gradloom.codegen.generate import generate

    marks = [time.process_time()]
    network = mlp(depth - 1)
    marks.append(time.process_time())
    network.derive()
    marks.append(time.process_time())
    import gradloom as gl

    source = generate(network, target="cpu", dtype="float32", sizes={}, optimizer=gl.optimizers.SGD(lr=0.1), wrt=None)
    marks.append(time.process_time())
    names = ("declare_s", "derive_s", "generate_s")
    taken = {name: after - before for name, before, after in zip(names, marks, marks[1:], strict=False)}
    return {"layers": depth, **taken, "total_s": marks[-1] - marks[0], "lines": len(source.source.splitlines())}


def plot(cases: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(cases), figsize=(4 * len(cases), 3.4), layout="constrained")
    for (name, case), ax in zip(cases.items(), np.atleast_1d(axes), strict=True):
        sizes, rows = np.array(case["sizes"]), np.array(case["least_and_quartiles_us"])
        ax.fill_between(sizes, rows[:, 1], rows[:, 3], alpha=0.25)
        ax.plot(sizes, rows[:, 0], "o-", label=f"least; slope {case['slope']:.2f}")
        ax.plot(sizes, rows[-1, 0] * sizes / sizes[-1], "k:", label="proportional")
        ax.set(xscale="log", yscale="log", xlabel=name, ylabel="µs a step")
        ax.set_xticks(sizes, [str(size) for size in sizes])
        ax.minorticks_off()
        ax.legend(frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.1, help="of one size in a round")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--layers", type=int, default=100, help="of the network that is derived and generated")
    parser.add_argument("--results", metavar="FOLDER", default=str(Path(__file__).parent / "results"))
    options = parser.parse_args(given)
    cases = {name: grown(name, options.rounds, options.seconds) for name in options.cases.split(",")}
    for name, case in cases.items():
        rows = [
            [str(size), *map(short, row)]
            for size, row in zip(case["sizes"], case["least_and_quartiles_us"], strict=True)
        ]
        print(table([name, "least µs", "first quartile", "median", "third quartile"], rows))
        print(f"slope {case['slope']:.2f}, of the larger half {case['slope_of_the_larger_half']:.2f}\n", flush=True)
    cost = deep(options.layers)
    print(
        f"{cost['layers']} layers: "
        + ", ".join(f"{name[:-2]} {cost[name]:.2f} s" for name in cost if name.endswith("_s"))
    )
    folder = Path(options.results)
    folder.mkdir(parents=True, exist_ok=True)
    setting = {**description(), "threads": 1, "rounds": options.rounds}
    found = rounded({"setting": setting, "cases": cases, "deep": cost})
    (folder / "scaling.json").write_text(json.dumps(found, indent=1) + "\n")
    plot(cases, folder / "scaling.png")


if __name__ == "__main__":
    main()
