"""What each command of the command line does, given its parsed options; returns the exit status."""

from __future__ import annotations

import argparse
import contextlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from .model_file import ModelFile, load_model_file
from .symbolic import activations, optimizers
from .symbolic.errors import DataError, DivergenceError, GradloomError, SizeError, UnsupportedError

OPTIMIZERS: dict[str, Any] = {
    "sgd": lambda **lr: optimizers.SGD(**lr),
    "momentum": lambda **lr: optimizers.SGD(**lr, momentum=0.9),
    "nesterov": lambda **lr: optimizers.SGD(**lr, momentum=0.9, nesterov=True),
    "adam": optimizers.Adam,
    "adamw": optimizers.AdamW,
    "rmsprop": optimizers.RMSProp,
    "adagrad": optimizers.AdaGrad,
}


def demo(options: argparse.Namespace) -> int:
    from .demo import run_demo

    return run_demo(options.data, Path(options.out))


def derive(options: argparse.Namespace) -> int:
    file = load_model_file(options.model)
    derivation = file.network.derive()
    style: dict[str, Any] = {"form": options.form, "steps": options.steps, **_notation(options)}
    if options.costs or options.size:
        style["costs"] = _sizes(options, file) or True
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
    _output(getattr(derivation, options.format)(**style), options.output)
    return 0


def check(options: argparse.Namespace) -> int:
    from .symbolic.claims.check import check as check_claim

    file = load_model_file(options.model)
    settings = dict(file.claims)
    for name in ("layout", "derivatives", "single", "first"):
        if getattr(options, name) is not None:
            settings[name] = getattr(options, name)
    settings["aliases"] = {**settings.get("aliases", {}), **_pairs("--alias", options.alias, "m=B")}
    functions = {name: _function(name, of) for name, of in _pairs("--function", options.function, "g=tanh").items()}
    settings["functions"] = {**settings.get("functions", {}), **functions}
    settings["symbols"] = {**settings.get("symbols", {}), **_symbols(options)}
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
        _output(document.latex(standalone=options.output is not None), options.output)
    else:
        _output(getattr(document, options.format)(), options.output)
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


def _notation(options: argparse.Namespace) -> dict[str, Any]:
    """The choices of notation, as keywords."""
    return {
        "layout": options.layout,
        "derivatives": options.derivatives,
        "deltas": not options.no_deltas,
        "layers": options.layers,
        "bold": options.bold,
        "symbols": _symbols(options),
    }


def _symbols(options: argparse.Namespace) -> dict[str, str]:
    symbols = {}
    for text in options.symbol:
        name, equals, symbol = text.partition("=")
        if not (name.isidentifier() and equals):
            raise UnsupportedError(f"--symbol {text}: expected NAME=LATEX, such as a2=\\hat{{y}}")
        symbols[name] = symbol
    return symbols


def generate(options: argparse.Namespace) -> int:
    from .codegen.generate import generate as generate_module
    from .runtime.program import check_choices, check_sizes

    kinds = _architectures(options)
    file = load_model_file(options.model)
    optimizer = _optimizer(options, file)
    made = generate_module(
        file.network,
        target=options.target,
        dtype=check_choices(options.target, options.dtype or file.training.get("dtype", "float32"), optimizer),
        batch=_batch(options, file),
        sizes=check_sizes(_sizes(options, file)),
        optimizer=optimizer,
        schedule=file.training.get("schedule") if options.target == "cpu" else None,
        checkpoint=_checkpoint(options, file),
        precision=_precision(options, file),
    )
    _output(made.source, options.output)
    for cc in kinds:
        from .runtime.cubin_files import write_cubins

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
    from .runtime.cubin_files import architecture
    from .runtime.cuda_toolkit import compiler_versions

    kinds = [architecture(text) for text in options.arch]
    compiler_versions()
    return kinds


def _checkpoint(options: argparse.Namespace, file: ModelFile) -> Any:
    """What the command line asks for, else the MODEL file."""
    return file.training.get("checkpoint") if options.checkpoint is None else options.checkpoint


def _precision(options: argparse.Namespace, file: ModelFile) -> Any:
    """The same; the MODEL file's is one of the GPU alone."""
    is_on_gpu = (options.target or file.training.get("target")) == "cuda"
    of_file = file.training.get("precision") if is_on_gpu else None
    return of_file if options.precision is None else options.precision


def _batch(options: argparse.Namespace, file: ModelFile) -> int:
    from .runtime.fit_options import check_count

    batch = options.batch or file.training.get("batch") or 100
    check_count("batch", batch)
    return int(batch)


def train(options: argparse.Namespace) -> int:
    from .runtime.ranks import end_all, started_together

    comm = started_together()
    if comm is None:
        return _train(options, None)
    try:
        if comm.Get_rank() == 0:
            return _train(options, comm)
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            return _train(options, comm)
    except (Exception, KeyboardInterrupt) as error:
        end_all(comm, error)


def _train(options: argparse.Namespace, comm: Any) -> int:
    """Train; of several processes, `comm`, one writes files and reports."""
    from .runtime.callbacks import as_callbacks
    from .runtime.datasets import data_for
    from .runtime.fit_options import check_trainable
    from .runtime.model import Model
    from .runtime.saved_files import check_destination
    from .runtime.watchers import LiveCurves, TensorBoard

    if options.save is not None:
        check_destination(options.save)
    file = load_model_file(options.model)
    network, settings = file.network, dict(file.training)
    # What is wrong with the network is said before anything about data, which may be the bundled digits.
    check_trainable(network)
    network.derive()
    data = file.data if file.data is not None and options.data is None else data_for(network, options.data)
    for name in ("seed", "target", "dtype", "epochs", "batch", "validation"):
        if getattr(options, name) is not None:
            settings[name] = getattr(options, name)
    settings |= _checkpoints(options)
    watchers: list[Any] = [] if options.live is None else [LiveCurves(options.live)]
    watchers += [] if options.tensorboard is None else [TensorBoard(options.tensorboard)]
    if options.patience is not None:
        settings["early_stopping"] = options.patience
    model = Model(
        network,
        settings.pop("seed", 0),
        settings.pop("target", "cpu"),
        settings.pop("dtype", "float32"),
        _sizes(options, file),
        schedule=settings.pop("schedule", None),
        checkpoint=_checkpoint(options, file),
        precision=_precision(options, file),
    )
    for name in ("sizes", "checkpoint", "precision"):
        settings.pop(name, None)
    settings["optimizer"] = _optimizer(options, file)
    settings["comm"] = comm
    is_first = comm is None or comm.Get_rank() == 0
    model.check(*data)
    if file.report is not None and is_first:
        report = file.report
        report(model, 0)
        watchers.append(lambda model, epoch, logs: report(model, epoch) and None)
    stopping = next(iter(as_callbacks((), settings.pop("early_stopping", None))), None)
    try:
        model.fit(*data, callbacks=watchers, early_stopping=stopping, **settings)
    except KeyboardInterrupt:
        if model.epochs and is_first:
            _finish_training(model, settings["optimizer"], file, options.save)
            _save_best(model, stopping, options.save)
        raise
    except DivergenceError as error:
        if options.save is None or not is_first:
            raise
        raise DivergenceError(f"{error}; {_save_last_good(model, Path(options.save))}") from error
    if is_first:
        _finish_training(model, settings["optimizer"], file, options.save)
    return 0


def _checkpoints(options: argparse.Namespace) -> dict[str, Any]:
    from .runtime.checkpoint_files import Checkpoints

    if options.checkpoints is None:
        for name, given in (("resume", options.resume), ("every", options.every is not None)):
            if given:
                raise UnsupportedError(f"--{name} is about checkpoints, and there are none: add --checkpoints DIR")
        return {}
    every = {} if options.every is None else {"seconds": options.every}
    return {"checkpoints": Checkpoints(options.checkpoints, **every), "resume": options.resume}


def _finish_training(model: Any, optimizer: Any, file: ModelFile, save: str | None) -> None:
    """Show and save what was trained, after Ctrl-C what was trained until then."""
    if file.report is None:
        print(f"{file.network.name}: {model.count:,} parameters, {optimizer!r}")
        print(model.history)
    if save is not None:
        model.save(save)
        print(f"saved to {save}")


def _save_best(model: Any, stopping: Any, save: str | None) -> None:
    """Save the best parameters of a training that was stopped, beside the last ones."""
    best = None if stopping is None or save is None else stopping.best_params(model)
    if best is not None:
        path = Path(str(save))
        beside = path.with_name(f"{path.stem}-best{path.suffix}")
        model.params.fill(best)
        model.save(beside)
        print(f"those of epoch {stopping.best_epoch}, the best, are saved to {beside}")


def _save_last_good(model: Any, path: Path) -> str:
    """Save what a training had before it diverged; beside a file that is there already, which may hold a better one."""
    if not path.exists():
        model.save(path)
        return f"they are saved to {path}"
    beside = path.with_name(f"{path.stem}-last-good{path.suffix}")
    model.save(beside)
    return f"they are saved to {beside}, and {path} is left as it was"


def bench(options: argparse.Namespace) -> int:
    from .runtime.bench import bench as measure

    file = load_model_file(options.model)
    settings = file.training
    timing = measure(
        file.network,
        file.data,
        batch=_batch(options, file),
        optimizer=_optimizer(options, file),
        dtype=options.dtype or settings.get("dtype") or "float32",
        sizes=_sizes(options, file),
        schedule=settings.get("schedule"),
        checkpoint=settings.get("checkpoint"),
        seconds=options.seconds,
    )
    print(timing)
    return 0


def explain(options: argparse.Namespace) -> int:
    from .runtime.explain import explain as explained

    file = load_model_file(options.model)
    optimizer = None
    if options.optimizer is None and file.training.get("optimizer") is None:
        optimizer = optimizers.SGD(lr=0.1 if options.lr is None else options.lr)
    document = explained(
        file.network,
        file.named_data(),
        rows=options.row or 0 if options.rows is None else slice(options.rows),
        optimizer=optimizer or _optimizer(options, file),
        seed=file.training.get("seed", 0) if options.seed is None else options.seed,
        sizes=_sizes(options, file),
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
    _output(getattr(document, options.format)(**style), options.output)
    return 0


def gradcheck(options: argparse.Namespace) -> int:
    from .runtime.gradcheck import gradcheck as check

    file = load_model_file(options.model)
    result = check(
        file.network,
        data=None if file.network.batch is not None else file.named_data(),
        target=options.target,
        sizes=_sizes(options, file),
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


def _sizes(options: argparse.Namespace, file: ModelFile) -> dict[str, int]:
    """The sizes of the MODEL file, and over them those of ``--size``."""
    sizes = dict(file.training.get("sizes") or {})
    for text in options.size:
        name, _, number = text.partition("=")
        if not name.isidentifier() or not number.isdecimal():
            raise SizeError(f"--size {text}: expected NAME=N, such as n=64")
        sizes[name] = int(number)
    return sizes


def _optimizer(options: argparse.Namespace, file: ModelFile) -> Any:
    """The optimizer of ``--optimizer`` and ``--lr``, else the MODEL file's, else Adam."""
    from .runtime.program import check_optimizer

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


def _output(text: str, path: str | None) -> None:
    if path is None:
        print(text, end="" if text.endswith("\n") else "\n")
    else:
        write_text(Path(path), text)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    GradloomError
        If it cannot be written.
    """
    from .runtime.files import write_atomically

    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise GradloomError(f"cannot write {path}: {error.strerror or error}") from error
