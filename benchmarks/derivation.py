"""How long deriving takes as an MLP gets deeper: seconds in all and milliseconds a layer.

``python benchmarks/derivation.py [--rounds N]`` prints a table and writes ``benchmarks/results/derivation.json``.
"""

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

import sympy

import gradloom as gl


def seconds(depth: int) -> float:
    """Process time to derive an MLP of `depth` sigmoid layers, all of different widths."""
    network = gl.Sequential(
        [gl.layers.Dense(8 + place, gl.sigmoid) for place in range(depth)],
        input_shape=(784,),
        loss=gl.losses.SquaredError(),
    )
    start = time.process_time()
    network.derive()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    seconds(2)  # SymPy fills its caches once
    table = []
    print("layers   seconds (median)   spread          ms a layer")
    for depth in (4, 8, 16, 32, 64):
        taken = sorted(seconds(depth) for _ in range(rounds))
        median = statistics.median(taken)
        table.append({"layers": depth, "seconds": taken, "ms_per_layer": 1000 * median / depth})
        print(f"{depth:6}   {median:16.2f}   {taken[0]:.2f} – {taken[-1]:.2f}   {1000 * median / depth:10.0f}")
    machine = {"python": platform.python_version(), "sympy": sympy.__version__, "machine": platform.machine()}
    out = Path(__file__).parent / "results" / "derivation.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps({"setting": machine, "rounds": rounds, "table": table}, indent=1) + "\n")


if __name__ == "__main__":
    main()
