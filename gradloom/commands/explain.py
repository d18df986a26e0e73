"""``gradloom explain``: one step of a training in numbers."""

from __future__ import annotations

import argparse

from ..model_file import load_model_file
from ..symbolic import optimizers
from ..symbolic.errors import UnsupportedError
from .options import OPTIMIZERS, add_model, add_sizes, chosen_optimizer, chosen_sizes, positive
from .output import add_output, write_output

HELP = "one forward pass, backward pass and update in numbers"


def add_arguments(command: argparse.ArgumentParser) -> None:
    add_model(command)
    command.add_argument(
        "--format",
        choices=("text", "latex", "markdown", "html", "pdf"),
        default="text",
        help="default: %(default)s; pdf needs -o and a TeX that is installed",
    )
    command.add_argument("--standalone", action="store_true", help="with --format latex: a whole document")
    chosen = command.add_mutually_exclusive_group()
    chosen.add_argument("--row", type=_row, metavar="N", help="the row of the MODEL file's data (default: 0)")
    chosen.add_argument("--rows", type=positive, metavar="N", help="the first N rows")
    command.add_argument("--seed", type=int, metavar="N", help="of parameters, and of data where the file has none")
    command.add_argument("--optimizer", choices=tuple(OPTIMIZERS), help="default: the MODEL file's, or sgd")
    command.add_argument("--lr", type=float, metavar="RATE", help="learning rate (default: the MODEL file's, or 0.1)")
    command.add_argument(
        "--entry", action="append", default=[], metavar="NAME[I,J]", help="a weight whose chain rule is shown"
    )
    command.add_argument(
        "--nudge", action="append", default=[], metavar="NAME[I,J]", help="a weight that is moved; may be repeated"
    )
    command.add_argument("--epsilon", type=float, default=0.01, metavar="E", help="how far (default: %(default)s)")
    add_sizes(command)
    add_output(command)


def run(options: argparse.Namespace) -> int:
    from ..runtime.explain import explain as explained

    file = load_model_file(options.model)
    optimizer = None
    if options.optimizer is None and file.training.get("optimizer") is None:
        optimizer = optimizers.SGD(lr=0.1 if options.lr is None else options.lr)
    document = explained(
        file.network,
        file.named_data(),
        rows=options.row or 0 if options.rows is None else slice(options.rows),
        optimizer=optimizer or chosen_optimizer(options, file),
        seed=file.training.get("seed", 0) if options.seed is None else options.seed,
        sizes=chosen_sizes(options, file),
        entries=options.entry,
        nudge=options.nudge,
        epsilon=options.epsilon,
        picture=options.format == "html",
    )
    if options.standalone and options.format != "latex":
        raise UnsupportedError(f"--standalone makes a LaTeX document, but the format is {options.format}")
    if options.format == "pdf":
        if options.output is None:
            raise UnsupportedError("--format pdf needs a file to write: add -o FILE.pdf")
        document.pdf(options.output)
        return 0
    style = {"standalone": options.standalone} if options.format == "latex" else {}
    write_output(getattr(document, options.format)(**style), options.output)
    return 0


def _row(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: expected the number of a row, counted from 0")
    return int(text)
