"""``gradloom bench``: how fast a network trains."""

from __future__ import annotations

import argparse

from ..model_file import load_model_file
from .options import add_model, add_optimizer, add_sizes, chosen_batch, chosen_optimizer, chosen_sizes, positive

HELP = "how fast a network trains, and which equations take the time"


def add_arguments(command: argparse.ArgumentParser) -> None:
    add_model(command)
    command.add_argument("--batch", type=positive, metavar="N", help="rows a step (default: the MODEL file's, or 100)")
    command.add_argument("--dtype", choices=("float32", "float64"), help="default: the MODEL file's, or float32")
    command.add_argument("--seconds", type=float, default=1.0, help="of training (default: %(default)s)")
    add_optimizer(command)
    add_sizes(command)


def run(options: argparse.Namespace) -> int:
    from ..runtime.bench import bench as measure

    file = load_model_file(options.model)
    settings = file.training
    timing = measure(
        file.network,
        file.data,
        batch=chosen_batch(options, file),
        optimizer=chosen_optimizer(options, file),
        dtype=options.dtype or settings.get("dtype") or "float32",
        sizes=chosen_sizes(options, file),
        schedule=settings.get("schedule"),
        checkpoint=settings.get("checkpoint"),
        seconds=options.seconds,
    )
    print(timing)
    return 0
