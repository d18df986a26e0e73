"""The systems that are measured: which module runs each, in which variant, and what it cannot do."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass

from ..workloads import Workload
from .base import NotOffered as NotOffered
from .base import Trainer


@dataclass(frozen=True)
class System:
    """
    Attributes
    ----------
    module : that of this package whose `trainer(variant, workload, x, y, weights)` builds a `Trainer`.
    library : what must be installed.
    kinds : the kinds of workloads that it runs.
    cached : whether a second process finds what the first has compiled.
    """

    name: str
    title: str
    module: str
    variant: str
    library: str
    kinds: tuple[str, ...] = ("mlp", "conv", "recurrent", "transformer", "physics")
    cached: bool = False


_ALL = (
    System("gradloom", "gradloom", "gradloom_", "epoch", "gradloom", cached=True),
    System("gradloom-step", "gradloom, a call a step", "gradloom_", "step", "gradloom"),
    System("torch", "PyTorch eager", "torch_", "eager", "torch"),
    System("torch-channels-last", "PyTorch channels-last", "torch_", "channels_last", "torch", ("conv",)),
    System("torch-compile", "torch.compile", "torch_", "compile", "torch"),
    System("jax-step", "JAX, a call a step", "jax_", "step", "jax"),
    System("jax-scan", "JAX lax.scan", "jax_", "scan", "jax"),
    System("pytensor", "PyTensor, Numba mode", "pytensor_", "numba", "pytensor", ("mlp", "transformer", "physics")),
    System("sklearn", "scikit-learn", "sklearn_", "mlp", "sklearn", ("mlp",)),
    System("numpy", "NumPy by hand", "numpy_", "hand", "numpy", ("mlp", "conv", "recurrent")),
)
SYSTEMS = {system.name: system for system in _ALL}
OURS = ("gradloom", "gradloom-step")


def trainer(system: System, workload: Workload, arrays: dict) -> Trainer:
    """Build the system's trainer for the data and weights of `workloads.arrays`.

    Raises
    ------
    NotOffered
        If the system has no such model.
    """
    weights = {name[2:]: array for name, array in arrays.items() if name.startswith("w:")}
    module = importlib.import_module(f".{system.module}", __name__)
    return module.trainer(system.variant, workload, arrays["x"], arrays["y"], weights)
