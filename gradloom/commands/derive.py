"""``gradloom derive``: the derived gradients, printed."""

from __future__ import annotations

import argparse
from typing import Any

from ..model_file import load_model_file
from ..symbolic.errors import UnsupportedError
from .options import add_model, add_sizes, add_symbols, chosen_sizes, chosen_symbols
from .output import add_output, write_output

HELP = "print the derived gradients"


def add_arguments(command: argparse.ArgumentParser) -> None:
    add_model(command)
    command.add_argument("--form", choices=("matrix", "index"), default="matrix", help="default: %(default)s")
    command.add_argument(
        "--format",
        choices=("text", "latex", "markdown", "html", "pdf"),
        default="text",
        help="default: %(default)s; html is one page that needs no network, pdf needs -o and a TeX that is installed",
    )
    command.add_argument(
        "--steps", action="store_true", help="also show what the chain rule gives before it is compacted"
    )
    command.add_argument(
        "--layout", choices=("columns", "rows"), default="columns", help="an example is a column or a row of a matrix"
    )
    command.add_argument(
        "--derivatives", choices=("denominator", "numerator"), default="denominator", help="∂L/∂W as W, or transposed"
    )
    command.add_argument("--no-deltas", action="store_true", help="write ∂L/∂z, not δ")
    command.add_argument(
        "--layers", choices=("numbers", "names"), default="numbers", help="W1 as W^{(1)}, or as it is called"
    )
    command.add_argument("--bold", action="store_true", help="vectors and matrices in bold type (LaTeX)")
    add_symbols(command)
    command.add_argument("--costs", action="store_true", help="also count operations, bytes and stored activations")
    add_sizes(command)
    command.add_argument("--standalone", action="store_true", help="with --format latex: a whole document")
    command.add_argument("--picture", metavar="FILE", help="also draw the network and its gradients (.svg or .png)")
    add_output(command)


def run(options: argparse.Namespace) -> int:
    file = load_model_file(options.model)
    derivation = file.network.derive()
    style: dict[str, Any] = {"form": options.form, "steps": options.steps, **_notation(options)}
    if options.costs or options.size:
        style["costs"] = chosen_sizes(options, file) or True
    if options.standalone:
        if options.format != "latex":
            raise UnsupportedError(f"--standalone makes a LaTeX document, but the format is {options.format}")
        style["standalone"] = True
    if options.picture is not None:
        derivation.picture(**_notation(options)).save(options.picture)
    if options.format == "html":
        style["steps"] = True  # they are folded
    if options.format == "pdf":
        if options.output is None:
            raise UnsupportedError("--format pdf needs a file to write: add -o FILE.pdf")
        derivation.pdf(options.output, **style)
        return 0
    write_output(getattr(derivation, options.format)(**style), options.output)
    return 0


def _notation(options: argparse.Namespace) -> dict[str, Any]:
    """The choices of notation, as keywords."""
    return {
        "layout": options.layout,
        "derivatives": options.derivatives,
        "deltas": not options.no_deltas,
        "layers": options.layers,
        "bold": options.bold,
        "symbols": chosen_symbols(options),
    }
