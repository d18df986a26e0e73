"""How long deriving takes: an MLP as it gets deeper, a transformer as it gets more blocks, LeNet-5, an LSTM.

``python benchmarks/derivation.py [--rounds N]`` prints a table and writes ``benchmarks/results/derivation.json``.
"""

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

import sympy
from sympy.core.cache import clear_cache

import gradloom as gl
from gradloom.symbolic.compact import simplest

L = gl.layers


def mlp(depth):
    """Sigmoid layers, all of different widths."""
    layers = [L.Dense(8 + place, gl.sigmoid) for place in range(depth)]
    return gl.Sequential(layers, input_shape=(784,), loss=gl.losses.SquaredError())


def transformer(blocks):
    """Causal blocks of width 64 with 4 heads, on sequences of 64."""
    layers = [L.TransformerBlock(64, 4, 256, causal=True) for _ in range(blocks)]
    return gl.Sequential(layers, input_shape=(64, 64), loss=gl.losses.SquaredError())


def lenet(_):
    convolutions = [L.Conv2D(6, 5, padding=2, activation=gl.tanh), L.MaxPool2D(2)]
    convolutions += [L.Conv2D(16, 5, activation=gl.tanh), L.MaxPool2D(2), L.Flatten()]
    dense = [L.Dense(120, gl.tanh), L.Dense(84, gl.tanh), L.Dense(10)]
    return gl.Sequential([*convolutions, *dense], input_shape=(1, 28, 28), loss=gl.losses.CrossEntropy())


def lstm(_):
    return gl.Sequential([L.LSTM(128), L.Dense(65)], input_shape=(32, 65), loss=gl.losses.CrossEntropy())


CASES = {
    "MLP": (mlp, (4, 8, 16, 32, 64)),
    "transformer": (transformer, (1, 2, 4, 8, 12)),
    "LeNet-5": (lenet, (1,)),
    "LSTM": (lstm, (1,)),
}


def seconds(make, size):
    """Process time to derive a network, with nothing remembered from the last."""
    network = make(size)
    clear_cache()
    simplest.cache_clear()
    start = time.process_time()
    network.derive()
    return time.process_time() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    seconds(mlp, 2)  # imports are done once
    table = []
    print("network        layers or blocks   seconds (median)   spread          ms each")
    for name, (make, sizes) in CASES.items():
        for size in sizes:
            taken = sorted(seconds(make, size) for _ in range(rounds))
            median = statistics.median(taken)
            table.append({"network": name, "size": size, "seconds": taken, "ms_each": 1000 * median / size})
            spread = f"{taken[0]:.2f} – {taken[-1]:.2f}"
            print(f"{name:12} {size:18} {median:18.2f}   {spread:13} {1000 * median / size:9.0f}", flush=True)
    machine = {"python": platform.python_version(), "sympy": sympy.__version__, "machine": platform.machine()}
    out = Path(__file__).parent / "results" / "derivation.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps({"setting": machine, "rounds": rounds, "table": table}, indent=1) + "\n")


if __name__ == "__main__":
    main()
