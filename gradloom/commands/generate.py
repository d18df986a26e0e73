"""``gradloom generate``: the generated module, and machine code of its kernels."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..model_file import load_model_file
from ..symbolic.errors import GradloomError, UnsupportedError
from .options import (
    add_checkpoint,
    add_model,
    add_optimizer,
    add_precision,
    add_sizes,
    chosen_batch,
    chosen_checkpoint,
    chosen_optimizer,
    chosen_precision,
    chosen_sizes,
    positive,
)
from .output import add_output, write_output

HELP = "write the generated module"


def add_arguments(command: argparse.ArgumentParser) -> None:
    add_model(command)
    command.add_argument("--target", choices=("cpu", "cuda", "numpy"), default="cpu", help="default: %(default)s")
    command.add_argument("--dtype", choices=("float32", "float64"), help="default: the MODEL file's, or float32")
    command.add_argument(
        "--batch", type=positive, metavar="N", help="rows a step: what the kernels, which take any, are chosen for"
    )
    command.add_argument(
        "--arch",
        metavar="sm_90",
        action="append",
        default=[],
        help="with --target cuda: also machine code for this kind of GPU, beside FILE; it then runs without the "
        "compiler, which must be installed here; may be repeated",
    )
    add_checkpoint(command)
    add_precision(command)
    add_optimizer(command)
    add_sizes(command)
    add_output(command)


def run(options: argparse.Namespace) -> int:
    from ..codegen.generate import generate as generate_module
    from ..runtime.compilation import check_choices, check_sizes

    kinds = _architectures(options)
    file = load_model_file(options.model)
    optimizer = chosen_optimizer(options, file)
    made = generate_module(
        file.network,
        target=options.target,
        dtype=check_choices(options.target, options.dtype or file.training.get("dtype", "float32"), optimizer),
        batch=chosen_batch(options, file),
        sizes=check_sizes(chosen_sizes(options, file)),
        optimizer=optimizer,
        schedule=file.training.get("schedule") if options.target == "cpu" else None,
        checkpoint=chosen_checkpoint(options, file),
        precision=chosen_precision(options, file),
    )
    write_output(made.source, options.output)
    for cc in kinds:
        from ..runtime.cubin_files import write_cubins

        try:
            written = write_cubins(Path(options.output), made.source, cc)
        except OSError as error:
            raise GradloomError(f"cannot write machine code: {error.strerror or error}") from error
        print(f"machine code for sm_{cc[0]}{cc[1]}: {', '.join(path.name for path in written)}")
    return 0


def _architectures(options: argparse.Namespace) -> list[tuple[int, int]]:
    """The kinds of GPU to write machine code for; that it can be made is checked before anything is written."""
    if not options.arch:
        return []
    if options.target != "cuda":
        raise UnsupportedError(f"--arch names a kind of GPU, but the target is {options.target}; add --target cuda")
    if options.output is None:
        raise UnsupportedError("--arch writes machine code beside the module: add -o FILE.py")
    from ..runtime.cubin_files import architecture
    from ..runtime.cuda_toolkit import compiler_versions

    kinds = [architecture(text) for text in options.arch]
    compiler_versions()
    return kinds
