"""The ``gradloom`` command: demo, derive, check, explain, generate, train, gradcheck.

Exit status: 0 done, 1 the answer is "no" (a failed gradient check, a claim that is wrong or cannot be decided), 2 bad
input, with one message on standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from . import __version__
from .symbolic.errors import GradloomError

OPTIMIZERS = ("sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "adagrad")
MODEL_HELP = "file.py or file.py:name, the file that declares the network (default name: network)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    with contextlib.suppress(AttributeError, ValueError):
        # Equations hold ∂ and Σ: where the terminal's encoding lacks them, they are escaped rather than an error.
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        with _plain_warnings():
            from . import commands

            status: int = getattr(commands, options.command)(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has had enough of it (gradloom derive … | head).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("\ngradloom: stopped", file=sys.stderr)
        return 130
    except Exception as error:
        if options.debug:
            raise
        if isinstance(error, GradloomError):
            print(f"gradloom: error: {error}", file=sys.stderr)
        else:
            print(
                f"gradloom: unexpected {type(error).__name__}: {error} (gradloom --debug … shows where)",
                file=sys.stderr,
            )
        return 2
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gradloom",
        description="Networks declared in SymPy: derived gradients, readable and as fast kernels.",
        epilog="Exit status: 0 done, 1 the answer is no (a failed check, a claim that is not right), 2 bad input.",
    )
    parser.add_argument("--version", action="version", version=f"gradloom {__version__}")
    parser.add_argument("--debug", action="store_true", help="show a traceback with an error")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = _command(commands, "demo", "the whole story on real handwritten digits, in under a minute")
    command.add_argument("--data", metavar="FILE", help="images and labels instead of the bundled digits: .npz, IDX, …")
    command.add_argument("--out", metavar="DIR", default="gradloom-demo", help="where to write (default: %(default)s)")

    command = _command(commands, "derive", "print the derived gradients")
    command.add_argument("model", metavar="MODEL", help=MODEL_HELP)
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
    command.add_argument(
        "--symbol", action="append", default=[], metavar="NAME=LATEX", help=r"the symbol of a tensor, as a2=\hat{y}"
    )
    command.add_argument("--costs", action="store_true", help="also count operations, bytes and stored activations")
    _add_sizes(command)
    command.add_argument("--standalone", action="store_true", help="with --format latex: a whole document")
    command.add_argument("--picture", metavar="FILE", help="also draw the network and its gradients (.svg or .png)")
    _add_output(command)

    command = _command(commands, "check", "say whether a derivation done by hand is right, and where it is not")
    command.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    command.add_argument(
        "claim", metavar="CLAIM", help="a formula in LaTeX, or a file of them (.tex, .md, .txt) or of functions (.py)"
    )
    command.add_argument(
        "--alias", action="append", default=[], metavar="NAME=MEANING", help="what a name of yours means, as m=B"
    )
    command.add_argument(
        "--function", action="append", default=[], metavar="NAME=FUNCTION", help="what a function is, as g=tanh"
    )
    command.add_argument("--layout", choices=("columns", "rows"), help="default: whichever fits")
    command.add_argument(
        "--derivatives", choices=("denominator", "numerator"), help="∂L/∂W as W (default), or transposed"
    )
    command.add_argument("--single", action="store_true", default=None, help="the claim is about one example alone")
    command.add_argument("--first", type=int, choices=(0, 1), help="the number of the first position along an axis")
    command.add_argument(
        "--symbol", action="append", default=[], metavar="NAME=LATEX", help=r"the symbol of a tensor, as a2=\hat{y}"
    )
    command.add_argument("--no-explain", action="store_true", help="do not look for examples and likely mistakes")
    command.add_argument(
        "--format",
        choices=("text", "html", "latex", "markdown", "pdf"),
        default="text",
        help="default: %(default)s; html is one page that needs no network, pdf needs -o and a TeX that is installed",
    )
    _add_output(command)

    command = _command(commands, "generate", "write the generated module")
    command.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    command.add_argument("--target", choices=("cpu", "cuda", "numpy"), default="cpu", help="default: %(default)s")
    command.add_argument("--dtype", choices=("float32", "float64"), help="default: the MODEL file's, or float32")
    command.add_argument(
        "--batch", type=_positive, metavar="N", help="rows a step: what the kernels, which take any, are chosen for"
    )
    command.add_argument(
        "--arch",
        metavar="sm_90",
        action="append",
        default=[],
        help="with --target cuda: also machine code for this kind of GPU, beside FILE; it then runs without the "
        "compiler, which must be installed here; may be repeated",
    )
    _add_checkpoint(command)
    command.add_argument(
        "--precision", choices=("tf32",), help="with --target cuda: tensor cores, of factors rounded to 10 bits"
    )
    _add_optimizer(command)
    _add_sizes(command)
    _add_output(command)

    command = _command(commands, "train", "train a network and show how it went")
    command.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    command.add_argument("--data", metavar="FILE", help=".npz, .npy, .csv[:COLUMN], .parquet or IDX")
    command.add_argument("--epochs", type=_positive, metavar="N")
    command.add_argument("--batch", type=_positive, metavar="N", help="rows per step")
    _add_checkpoint(command)
    command.add_argument(
        "--precision", choices=("tf32",), help="with --target cuda: tensor cores, of factors rounded to 10 bits"
    )
    _add_optimizer(command)
    command.add_argument("--seed", type=int, metavar="N")
    command.add_argument("--validation", type=float, metavar="FRACTION", help="of the rows, held out")
    command.add_argument(
        "--patience", type=_positive, metavar="N", help="stop early after N epochs without improvement"
    )
    command.add_argument("--target", choices=("cpu", "cuda", "numpy"))
    command.add_argument("--dtype", choices=("float32", "float64"))
    _add_sizes(command)
    command.add_argument("--save", metavar="FILE", help="write the trained model to FILE (.npz)")
    command.add_argument("--checkpoints", metavar="DIR", help="keep the training in DIR while it goes on")
    command.add_argument("--every", type=float, metavar="SECONDS", help="from one checkpoint to the next (default: 30)")
    command.add_argument(
        "--resume", action="store_true", help="go on from the newest checkpoint in DIR, or begin where there is none"
    )

    command.add_argument("--live", metavar="FILE.html", help="draw the training curves while it goes on")
    command.add_argument("--tensorboard", metavar="DIR", help="write event files for TensorBoard")

    command = _command(commands, "bench", "how fast a network trains, and which equations take the time")
    command.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    command.add_argument("--batch", type=_positive, metavar="N", help="rows a step (default: the MODEL file's, or 100)")
    command.add_argument("--dtype", choices=("float32", "float64"), help="default: the MODEL file's, or float32")
    command.add_argument("--seconds", type=float, default=1.0, help="of training (default: %(default)s)")
    _add_optimizer(command)
    _add_sizes(command)

    command = _command(commands, "explain", "one forward pass, backward pass and update in numbers")
    command.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    command.add_argument(
        "--format",
        choices=("text", "latex", "markdown", "html", "pdf"),
        default="text",
        help="default: %(default)s; pdf needs -o and a TeX that is installed",
    )
    command.add_argument("--standalone", action="store_true", help="with --format latex: a whole document")
    chosen = command.add_mutually_exclusive_group()
    chosen.add_argument("--row", type=_row, metavar="N", help="the row of the MODEL file's data (default: 0)")
    chosen.add_argument("--rows", type=_positive, metavar="N", help="the first N rows")
    command.add_argument("--seed", type=int, metavar="N", help="of parameters, and of data where the file has none")
    command.add_argument("--optimizer", choices=OPTIMIZERS, help="default: the MODEL file's, or sgd")
    command.add_argument("--lr", type=float, metavar="RATE", help="learning rate (default: the MODEL file's, or 0.1)")
    command.add_argument(
        "--entry", action="append", default=[], metavar="NAME[I,J]", help="a weight whose chain rule is shown"
    )
    command.add_argument(
        "--nudge", action="append", default=[], metavar="NAME[I,J]", help="a weight that is moved; may be repeated"
    )
    command.add_argument("--epsilon", type=float, default=0.01, metavar="E", help="how far (default: %(default)s)")
    _add_sizes(command)
    _add_output(command)

    command = _command(commands, "gradcheck", "compare the derived kernels with finite differences")
    command.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    command.add_argument("--target", choices=("cpu", "cuda", "numpy"), default="cpu", help="default: %(default)s")
    command.add_argument("--batch", type=_positive, metavar="N", default=5, help="rows of random data (default: 5)")
    command.add_argument("--entries", type=_positive, metavar="N", default=100, help="at most so many of each tensor")
    command.add_argument("--seed", type=int, metavar="N", default=0)
    _add_sizes(command)
    return parser


def _command(commands: Any, name: str, text: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + "."
    )
    command.set_defaults(command=name)
    return command


def _add_output(command: argparse.ArgumentParser) -> None:
    command.add_argument("-o", "--output", metavar="FILE", help="write to FILE instead of standard output")


def _add_sizes(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--size", action="append", default=[], metavar="NAME=N", help="a number for a symbolic size; may be repeated"
    )


def _add_checkpoint(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--checkpoint",
        type=lambda text: True if text == "auto" else _positive(text),
        metavar="K",
        help="store the state of recurrences at every K-th step only, and compute the rest again; auto: about √T",
    )


def _add_optimizer(command: argparse.ArgumentParser) -> None:
    command.add_argument("--optimizer", choices=OPTIMIZERS, help="default: the MODEL file's, or adam")
    command.add_argument("--lr", type=float, metavar="RATE", help="learning rate")


def _row(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: expected the number of a row, counted from 0")
    return int(text)


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number of at least 1")
    return number


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Warnings as one line, without the place in the source."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: print(f"gradloom: warning: {message}", file=sys.stderr)
        yield
