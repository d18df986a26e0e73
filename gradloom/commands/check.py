"""``gradloom check``: whether a derivation done by hand is right."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..model_file import load_model_file
from ..symbolic import activations
from ..symbolic.errors import DataError, UnsupportedError
from .options import add_model, add_symbols, chosen_symbols
from .output import add_output, write_output

HELP = "say whether a derivation done by hand is right, and where it is not"


def add_arguments(command: argparse.ArgumentParser) -> None:
    add_model(command)
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
    add_symbols(command)
    command.add_argument("--no-explain", action="store_true", help="do not look for examples and likely mistakes")
    command.add_argument(
        "--format",
        choices=("text", "html", "latex", "markdown", "pdf"),
        default="text",
        help="default: %(default)s; html is one page that needs no network, pdf needs -o and a TeX that is installed",
    )
    add_output(command)


def run(options: argparse.Namespace) -> int:
    from ..symbolic.claims.check import check as check_claim

    file = load_model_file(options.model)
    settings = dict(file.claims)
    for name in ("layout", "derivatives", "single", "first"):
        if getattr(options, name) is not None:
            settings[name] = getattr(options, name)
    settings["aliases"] = {**settings.get("aliases", {}), **_pairs("--alias", options.alias, "m=B")}
    functions = {name: _function(name, of) for name, of in _pairs("--function", options.function, "g=tanh").items()}
    settings["functions"] = {**settings.get("functions", {}), **functions}
    settings["symbols"] = {**settings.get("symbols", {}), **chosen_symbols(options)}
    claim: Any = options.claim
    path = Path(claim)
    if path.suffix.lower() in (".tex", ".md", ".txt", ".py"):
        claim = path
        if not os.path.isfile(path):
            what = "is a directory" if os.path.isdir(path) else "does not exist"
            raise DataError(
                f"CLAIM file {path} {what}; expected a file of formulas or functions, or a formula in LaTeX"
            )
    if options.format == "pdf" and options.output is None:
        raise UnsupportedError("--format pdf needs a file to write: add -o FILE.pdf")
    verdict = check_claim(file.network, claim, **settings, explain=not options.no_explain)
    if isinstance(claim, Path):
        verdict = replace(verdict, title=f"Verdict on {claim.name}")
    document = verdict.document()
    if options.format == "pdf":
        document.pdf(options.output)
    elif options.format == "latex":
        write_output(document.latex(standalone=options.output is not None), options.output)
    else:
        write_output(getattr(document, options.format)(), options.output)
    return 0 if verdict.ok else 1


def _pairs(option: str, given: list[str], example: str) -> dict[str, str]:
    """The ``NAME=MEANING`` of an option that may be repeated."""
    made = {}
    for text in given:
        name, equals, meaning = (part.strip() for part in text.partition("="))
        if not (name and equals and meaning):
            raise UnsupportedError(f"{option} {text}: expected NAME=MEANING, such as {example}")
        made[name] = meaning
    return made


def _function(name: str, of: str) -> Any:
    """A function by its name: one of `gradloom.activations`, or a function of one number that SymPy has."""
    import sympy

    found = getattr(activations, of, None)
    if found is None:
        found = getattr(sympy, of, None)
        if not (isinstance(found, type) and issubclass(found, sympy.Function)) and of not in ("exp", "sqrt"):
            found = None
    if not callable(found):
        known = ", ".join(key for key in ("identity", "relu", "sigmoid", "softplus", "tanh"))
        raise UnsupportedError(f"--function {name}={of}: there is no function {of}; expected one such as {known}")
    return found
