"""Options that several commands have, and what they come to with what the MODEL file says."""

from __future__ import annotations

import argparse
from typing import Any

from ..model_file import ModelFile
from ..symbolic import optimizers
from ..symbolic.errors import SizeError, UnsupportedError

OPTIMIZERS: dict[str, Any] = {
    "sgd": lambda **lr: optimizers.SGD(**lr),
    "momentum": lambda **lr: optimizers.SGD(**lr, momentum=0.9),
    "nesterov": lambda **lr: optimizers.SGD(**lr, momentum=0.9, nesterov=True),
    "adam": optimizers.Adam,
    "adamw": optimizers.AdamW,
    "rmsprop": optimizers.RMSProp,
    "adagrad": optimizers.AdaGrad,
}


def add_model(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "model",
        metavar="MODEL",
        help="file.py or file.py:name, the file that declares the network (default name: network)",
    )


def add_sizes(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--size", action="append", default=[], metavar="NAME=N", help="a number for a symbolic size; may be repeated"
    )


def chosen_sizes(options: argparse.Namespace, file: ModelFile) -> dict[str, int]:
    """The sizes of the MODEL file, and over them those of ``--size``."""
    sizes = dict(file.training.get("sizes") or {})
    for text in options.size:
        name, _, number = text.partition("=")
        if not name.isidentifier() or not number.isdecimal():
            raise SizeError(f"--size {text}: expected NAME=N, such as n=64")
        sizes[name] = int(number)
    return sizes


def add_symbols(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--symbol", action="append", default=[], metavar="NAME=LATEX", help=r"the symbol of a tensor, as a2=\hat{y}"
    )


def chosen_symbols(options: argparse.Namespace) -> dict[str, str]:
    symbols = {}
    for text in options.symbol:
        name, equals, symbol = text.partition("=")
        if not (name.isidentifier() and equals):
            raise UnsupportedError(f"--symbol {text}: expected NAME=LATEX, such as a2=\\hat{{y}}")
        symbols[name] = symbol
    return symbols


def add_optimizer(command: argparse.ArgumentParser) -> None:
    command.add_argument("--optimizer", choices=tuple(OPTIMIZERS), help="default: the MODEL file's, or adam")
    command.add_argument("--lr", type=float, metavar="RATE", help="learning rate")


def chosen_optimizer(options: argparse.Namespace, file: ModelFile) -> Any:
    """The optimizer of ``--optimizer`` and ``--lr``, else the MODEL file's, else Adam."""
    from ..runtime.compilation import check_optimizer

    chosen = file.training.get("optimizer")
    if options.optimizer is None and chosen is not None:
        check_optimizer(chosen)
        if options.lr is not None:
            if "lr" not in getattr(chosen, "values", {}):
                raise UnsupportedError(f"--lr: the MODEL file's optimizer {chosen!r} has no lr; give --optimizer too")
            chosen.set(lr=options.lr)
        return chosen
    rate = {} if options.lr is None else {"lr": options.lr}
    return OPTIMIZERS[options.optimizer or "adam"](**rate)


def add_checkpoint(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--checkpoint",
        type=lambda text: True if text == "auto" else positive(text),
        metavar="K",
        help="store the state of recurrences at every K-th step only, and compute the rest again; auto: about √T",
    )


def chosen_checkpoint(options: argparse.Namespace, file: ModelFile) -> Any:
    """What the command line asks for, else the MODEL file."""
    return file.training.get("checkpoint") if options.checkpoint is None else options.checkpoint


def add_precision(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--precision", choices=("tf32",), help="with --target cuda: tensor cores, of factors rounded to 10 bits"
    )


def chosen_precision(options: argparse.Namespace, file: ModelFile) -> Any:
    """The same of the precision; the MODEL file's is one of the GPU alone."""
    is_on_gpu = (options.target or file.training.get("target")) == "cuda"
    of_file = file.training.get("precision") if is_on_gpu else None
    return of_file if options.precision is None else options.precision


def chosen_batch(options: argparse.Namespace, file: ModelFile) -> int:
    from ..runtime.fit_options import check_count

    batch = options.batch or file.training.get("batch") or 100
    check_count("batch", batch)
    return int(batch)


def positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number of at least 1")
    return number
