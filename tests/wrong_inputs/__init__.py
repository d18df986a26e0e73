"""Every wrong input that `docs/reference/wrong_input.md` lists, by its headings, and what is done for each row."""

from __future__ import annotations

from . import claims, command, data, declarations, derivations, devices, files, layers, libraries, saved, training
from .case import Case

AREAS: dict[str, dict[str, Case]] = {
    "Declarations": declarations.CASES,
    "Layers and losses": layers.CASES,
    "Derivations, pages and pictures": derivations.CASES,
    "Training and compiling": training.CASES,
    "Arrays": data.CASES,
    "Files of data": files.CASES,
    "Models, checkpoints and kernels on disk": saved.CASES,
    "Derivations to be checked": claims.CASES,
    "The command line": command.CASES,
    "GPUs, several processes, packages": devices.CASES,
    "PyTorch, scikit-learn, ONNX": libraries.CASES,
}
