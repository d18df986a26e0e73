"""PyTorch and JAX on the GPU, as their users train there.

PyTorch: "eager" with a fused optimizer; "compile" with forward and backward compiled in the mode "reduce-overhead",
which replays CUDA graphs; "graph" with the whole step, update included, captured by hand. JAX: a jitted step, and a
jitted scan.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..systems.base import NotOffered
from ..workloads import Workload
from .clock import torch_seconds, wall_seconds

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the others need memory, too
TORCH = ("eager", "compile", "graph")
JAX = ("step", "scan")
WARM = 3  # steps before a capture, as PyTorch asks for


def weights_of(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name[2:]: array for name, array in arrays.items() if name.startswith("w:")}


class Torch:
    """A training by PyTorch; `device` "cpu" runs the same code where there is no GPU, but captures nothing."""

    unit = 1

    def __init__(
        self, variant: str, task: Workload, arrays: dict[str, np.ndarray], device: str, tf32: bool = False
    ) -> None:
        import torch

        from ..systems.torch_ import KINDS

        if variant == "compile" and task.kind == "recurrent":
            raise NotOffered("its steps written out take Inductor minutes, and cuDNN's are not traced")
        torch.set_default_device(device)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        self.torch, self.device, self.variant, self.task = torch, device, variant, task
        loss, self.adapt = KINDS[task.kind](task, "eager")
        # Without a GPU Inductor would call a C++ compiler: that the code can be traced is what is tried.
        how = {"mode": "reduce-overhead"} if device != "cpu" else {"backend": "eager"}
        self.loss = torch.compile(loss, **how) if variant == "compile" else loss
        self.batches = [
            tuple(torch.tensor(part, device=device) for part in pair)
            for pair in zip(arrays["x"], arrays["y"], strict=True)
        ]
        self.initial = {name: torch.tensor(w, device=device) for name, w in weights_of(arrays).items()}
        self.params = {name: w.clone().requires_grad_() for name, w in self.initial.items()}
        self.held, self.graph = self.adapt(self.params), None
        if "layer" in self.held and device != "cpu":
            self.held["layer"].flatten_parameters()  # as cuDNN wants them, or it copies them in every step
        self.optimizer = self._optimizer()
        self.shown = tuple(part.clone() for part in self.batches[0])  # what a captured step reads
        self.total = torch.zeros((), device=device)
        if variant == "graph":
            self._capture()
        self.reset()

    def _optimizer(self) -> Any:
        optim, task, params = self.torch.optim, self.task, list(self.params.values())
        more = {"fused": True}
        if task.optimizer == "adam":
            return optim.Adam(params, lr=task.lr, capturable=self.device != "cpu", **more)
        return optim.SGD(params, lr=task.lr, momentum=0.9 * (task.optimizer == "momentum"), **more)

    def _capture(self) -> None:
        torch = self.torch
        if self.device == "cpu":
            self._step(*self.shown)
            return
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM):
                self._step(*self.shown)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self._step(*self.shown)

    def _step(self, x: Any, y: Any) -> None:
        if self.variant == "compile":
            self.torch.compiler.cudagraph_mark_step_begin()
        self.optimizer.zero_grad(set_to_none=self.variant != "graph")
        loss = self.loss(self.held, x, y)
        loss.backward()
        self.optimizer.step()
        self.total += loss.detach()

    def reset(self) -> None:
        with self.torch.no_grad():
            for name, w in self.initial.items():
                self.params[name].copy_(w)
            for state in self.optimizer.state.values():
                for value in state.values():
                    if self.torch.is_tensor(value):
                        value.zero_()
        self.at = 0

    def run(self, steps: int) -> Any:
        """Train on; the sum of the losses, on its way."""
        self.total.zero_()
        for _ in range(steps):
            x, y = self.batches[self.at]
            if self.graph is None:
                self._step(x, y)
            else:
                for to, of in zip(self.shown, (x, y), strict=True):
                    to.copy_(of)
                self.graph.replay()
            self.at = (self.at + 1) % len(self.batches)
        return self.total

    def losses(self, steps: int) -> list[float]:
        self.reset()
        return [float(self.run(1)) for _ in range(steps)]

    def seconds(self, steps: int) -> float:
        return torch_seconds(lambda: self.run(steps), self.device)


class Jax:
    """A training by JAX, as `benchmarks.systems` has it; it hands out no events."""

    def __init__(self, variant: str, task: Workload, arrays: dict[str, np.ndarray], tf32: bool = False) -> None:
        import jax

        from ..systems.jax_ import trainer

        jax.config.update("jax_default_matmul_precision", "tensorfloat32" if tf32 else "highest")
        self.trainer = trainer(variant, task, arrays["x"], arrays["y"], weights_of(arrays))
        self.unit = self.trainer.unit

    def losses(self, steps: int) -> list[float]:
        return self.trainer.losses(steps)

    def seconds(self, steps: int) -> float:
        return wall_seconds(lambda: self.trainer.run(steps))
