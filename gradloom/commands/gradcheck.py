"""``gradloom gradcheck``: the derived kernels against finite differences."""

from __future__ import annotations

import argparse

from ..model_file import load_model_file
from .options import add_model, add_sizes, chosen_sizes, positive

HELP = "compare the derived kernels with finite differences"


def add_arguments(command: argparse.ArgumentParser) -> None:
    add_model(command)
    command.add_argument("--target", choices=("cpu", "cuda", "numpy"), default="cpu", help="default: %(default)s")
    command.add_argument("--batch", type=positive, metavar="N", default=5, help="rows of random data (default: 5)")
    command.add_argument("--entries", type=positive, metavar="N", default=100, help="at most so many of each tensor")
    command.add_argument("--seed", type=int, metavar="N", default=0)
    add_sizes(command)


def run(options: argparse.Namespace) -> int:
    from ..runtime.gradcheck import gradcheck as check

    file = load_model_file(options.model)
    result = check(
        file.network,
        data=None if file.network.batch is not None else file.named_data(),
        target=options.target,
        sizes=chosen_sizes(options, file),
        batch=options.batch,
        entries=options.entries,
        seed=options.seed,
    )
    print(result)
    if result.ok:
        print("The derived gradients agree with central differences (float64).")
        return 0
    failed = ", ".join(row.name for row in result.rows if not row.ok)
    print(f"The derived gradients of {failed} do NOT agree with central differences.")
    return 1
