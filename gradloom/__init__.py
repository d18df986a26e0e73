"""gradloom: declare a network in SymPy; derive, print and check its gradients; weave them into fast kernels.

>>> import gradloom as gl
>>> net = gl.Sequential([gl.layers.Dense(16, gl.sigmoid), gl.layers.Dense(10, gl.sigmoid)],
...                     input_shape=(784,), loss=gl.losses.SquaredError())
>>> gradients = net.derive()

Deriving and printing need SymPy alone; what runs kernels (`Model`, `Program`, …) is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .symbolic import activations, errors, layers, losses, optimizers, schedules
from .symbolic.activations import (
    AlongAxis,
    elu,
    gelu,
    gelu_tanh,
    identity,
    leaky_relu,
    log_softmax,
    one_hot,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from .symbolic.binders import ArgMax, Max, Sum
from .symbolic.costs import Costs
from .symbolic.derivation import Derivation
from .symbolic.equations import Equation
from .symbolic.errors import (
    CacheError,
    ClaimSyntaxError,
    DataError,
    DivergenceError,
    GradloomError,
    IndexingError,
    LossError,
    MissingExtraError,
    ModelFileError,
    NameTakenError,
    PdfError,
    RecurrenceError,
    SavedFileError,
    ShapeError,
    SizeError,
    UndefinedError,
    UnsupportedError,
    UnusedParameterError,
)
from .symbolic.functions import elementwise
from .symbolic.guards import inside, padded
from .symbolic.held import held, normal
from .symbolic.indices import Dim, Index, dims, indices
from .symbolic.network import Network
from .symbolic.per_example import per_example
from .symbolic.pictures.draw import Drawing
from .symbolic.report.document import Document
from .symbolic.second_order import gauss_newton_vector, hessian_vector
from .symbolic.sequential import Sequential
from .symbolic.tangent import jvp, tangent
from .symbolic.tensors import Tensor
from .symbolic.unrolled import unrolled
from .symbolic.vjp import vjp

if TYPE_CHECKING:
    from . import jax as jax
    from . import torch as torch
    from .codegen.kernel_schedule import KernelSchedule
    from .runtime import datasets, initializers
    from .runtime.array_checks import one_hot_rows
    from .runtime.cache import CacheWarning, cache_dir, set_cache_dir
    from .runtime.callbacks import Callback, EarlyStopping
    from .runtime.checkpoint_files import Checkpoints
    from .runtime.cubin_files import load_kernels
    from .runtime.cuda_driver import DeviceError
    from .runtime.explain import explain
    from .runtime.formats.onnx_export import to_onnx
    from .runtime.formats.onnx_import import from_onnx
    from .runtime.formats.torch_modules import from_torch
    from .runtime.gradcheck import gradcheck
    from .runtime.gradient_norms import GradientNorms, gradient_norms
    from .runtime.hessian import hessian
    from .runtime.history import History
    from .runtime.model import Model
    from .runtime.parameters import Parameters
    from .runtime.pictures import norms_by_layer, training_curves, weight_images
    from .runtime.program import Program
    from .runtime.threads import set_threads
    from .runtime.watchers import LiveCurves, TensorBoard
    from .symbolic.claims.check import check
    from .symbolic.claims.errors import AmbiguousClaimError, UnknownNameError
    from .symbolic.claims.verdict import Verdict
    from .symbolic.evaluate import evaluate

__version__ = "0.1.0"

# Imported when first asked for: they bring NumPy, and some of them Numba.
_LAZY = {
    "AmbiguousClaimError": "symbolic.claims.errors",
    "CacheWarning": "runtime.cache",
    "Callback": "runtime.callbacks",
    "DeviceError": "runtime.cuda_driver",
    "Checkpoints": "runtime.checkpoint_files",
    "EarlyStopping": "runtime.callbacks",
    "LiveCurves": "runtime.watchers",
    "TensorBoard": "runtime.watchers",
    "GradientNorms": "runtime.gradient_norms",
    "History": "runtime.history",
    "KernelSchedule": "codegen.kernel_schedule",
    "Model": "runtime.model",
    "Parameters": "runtime.parameters",
    "Program": "runtime.program",
    "UnknownNameError": "symbolic.claims.errors",
    "Verdict": "symbolic.claims.verdict",
    "cache_dir": "runtime.cache",
    "check": "symbolic.claims.check",
    "evaluate": "symbolic.evaluate",
    "explain": "runtime.explain",
    "from_onnx": "runtime.formats.onnx_import",
    "from_torch": "runtime.formats.torch_modules",
    "gradcheck": "runtime.gradcheck",
    "gradient_norms": "runtime.gradient_norms",
    "hessian": "runtime.hessian",
    "load_kernels": "runtime.cubin_files",
    "norms_by_layer": "runtime.pictures",
    "one_hot_rows": "runtime.array_checks",
    "set_cache_dir": "runtime.cache",
    "set_threads": "runtime.threads",
    "to_onnx": "runtime.formats.onnx_export",
    "training_curves": "runtime.pictures",
    "weight_images": "runtime.pictures",
}
_LAZY_MODULES = {
    "datasets": "runtime.datasets", "initializers": "runtime.initializers",
    "jax": "jax", "sklearn": "sklearn", "torch": "torch",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _LAZY_MODULES:
        found: Any = importlib.import_module(f".{_LAZY_MODULES[name]}", __name__)
    elif name in _LAZY:
        found = getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


def _compile(network: Network, **options: Any) -> Program:
    from .runtime.compilation import compile_network

    return compile_network(network, **options)


Network.compiler = staticmethod(_compile)

__all__ = [
    "AlongAxis", "AmbiguousClaimError", "ArgMax", "CacheError", "CacheWarning", "Callback", "Checkpoints",
    "ClaimSyntaxError", "Costs", "DataError", "Derivation", "DeviceError", "Dim", "DivergenceError", "Document",
    "Drawing", "EarlyStopping", "Equation", "GradientNorms", "GradloomError", "History", "Index", "IndexingError",
    "KernelSchedule", "LiveCurves", "LossError", "Max", "MissingExtraError", "Model", "ModelFileError",
    "NameTakenError", "Network", "Parameters", "PdfError", "Program", "RecurrenceError", "SavedFileError",
    "Sequential", "ShapeError", "SizeError", "Sum", "Tensor", "TensorBoard", "UndefinedError", "UnknownNameError",
    "UnsupportedError", "UnusedParameterError", "Verdict", "activations", "cache_dir", "check", "datasets", "dims",
    "elementwise", "elu", "errors", "evaluate", "explain", "from_onnx", "from_torch", "gauss_newton_vector", "gelu",
    "gelu_tanh", "gradcheck", "gradient_norms", "held", "hessian", "hessian_vector", "identity", "indices",
    "initializers", "inside", "jvp", "layers", "leaky_relu", "load_kernels", "log_softmax", "losses", "normal",
    "norms_by_layer", "one_hot", "one_hot_rows", "optimizers", "padded", "per_example", "relu", "schedules",
    "set_cache_dir", "set_threads", "sigmoid", "silu", "softmax", "softplus", "tangent", "tanh", "to_onnx",
    "training_curves", "unrolled", "vjp", "weight_images",
]  # fmt: skip
