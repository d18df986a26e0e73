"""`from_torch`: a module of PyTorch made of layers, one after another, as a `Sequential` with its parameters."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import sympy

from ...symbolic import activations
from ...symbolic import layers as L
from ...symbolic.errors import MissingExtraError, UndefinedError, UnsupportedError
from ..model import Model
from .imported import Part, joined, model_of, sample_shape
from .torch_attention import array_of, attention, encoder, encoder_layer
from .torch_recurrent import recurrent


def from_torch(
    module: Any, input_shape: Any = None, *, loss: Any = None, name: str = "network", dtype: Any = None, **options: Any
) -> Model:
    """A module of PyTorch as a `Model`: its equations, which can be derived and printed, with its parameters.

    The module is a layer or an ``nn.Sequential`` of layers; such modules may stand in others. An LSTM, GRU or RNN gives
    its states at all steps to what follows; MultiheadAttention is that of its data to themselves. Dropout and batch
    normalisation do in training what they do there. A parameter with ``requires_grad=False`` is frozen: its gradient is
    derived, and no update is made (``model.network.frozen``).

    Parameters
    ----------
    module : an ``nn.Module``; it is read, and shares nothing with the model.
    input_shape : the shape of a sample, without the batch axis. It may be left out where the first layer is Linear,
        Embedding, recurrent or a transformer's; the length of a sequence is then the symbol T.
    loss : one of ``gl.losses``; needed to derive and to train.
    name : of the network.
    dtype : "float32" or "float64"; by default that of the module's parameters.
    options : those of `Model`: target, seed, …

    Raises
    ------
    MissingExtraError
        If PyTorch is not installed.
    UnsupportedError
        If a layer, or an option of one, has no counterpart; the message names it, and what is supported.
    UndefinedError
        If `module` is no module, or `input_shape` is needed.
    ShapeError
        If the layers do not fit a sample of that shape.

    Examples
    --------
    >>> import gradloom as gl, torch
    >>> from torch import nn
    >>> module = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    >>> model = gl.from_torch(module, loss=gl.losses.SquaredError())
    >>> print(model.network.derive()["W2"])
    ∂L/∂W2[j, k] = Σ_i δ2[i, j] a1[i, k]
    """
    try:
        import torch
    except ImportError:
        raise MissingExtraError(
            "from_torch reads modules of PyTorch, which is not installed: pip install torch"
        ) from None
    if not isinstance(module, torch.nn.Module):
        raise UndefinedError(f"{module!r} is no module of PyTorch; expected an nn.Sequential, or a layer of torch.nn")
    found = list(_layers(module, "module" if not isinstance(module, torch.nn.Sequential) else ""))
    _check_unshared(found)
    parts = joined(_parts(found, None if input_shape is None else 1 + np.size(np.array(input_shape, object))))
    shape = sample_shape(parts, input_shape, "(3, 32, 32)")
    kinds = {str(p.dtype).removeprefix("torch.") for p in module.parameters() if p.is_floating_point()}
    kind = dtype if dtype is not None else "float64" if kinds == {"float64"} else "float32"
    return model_of(parts, shape, kind, name, loss, options)


def _layers(module: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The layers of a module with the names that PyTorch gives them."""
    import torch

    if module._forward_pre_hooks or module._forward_hooks:
        raise UnsupportedError(
            f"layer {path or 'module'} has hooks, which compute more than the layer says (older weight_norm and "
            "spectral_norm, pruning, or your own); remove them, as with torch.nn.utils.remove_weight_norm"
        )
    if type(module) is not torch.nn.Sequential:
        yield path, module
        return
    for name, child in module._modules.items():  # named_children() leaves out what stands there for a second time
        yield from _layers(child, f"{path}.{name}" if path else name)


def _check_unshared(found: list[tuple[str, Any]]) -> None:
    """Refuse layers with the same parameter: here each would have a gradient of its own, there it is their sum."""
    owners: dict[int, str] = {}
    for path, module in found:
        for name, parameter in module.named_parameters():
            if id(parameter) in owners:
                raise UnsupportedError(
                    f"layer {path}, {module}, cannot be read: it shares its {name} with layer {owners[id(parameter)]}; "
                    "expected parameters of its own"
                )
        owners |= {id(parameter): path for parameter in module.parameters()}


def _parts(found: list[tuple[str, Any]], rank: int | None) -> Iterator[Part]:
    """The layers of modules; `rank` is how many axes come in, with the batch axis, where that is known."""
    makers = {**_MAKERS, **_SEQUENCES, **dict.fromkeys(("RNN", "LSTM", "GRU"), recurrent)}
    for place, (path, module) in enumerate(found):
        kind = type(module).__name__
        if not type(module).__module__.startswith("torch.nn.modules.") or kind not in makers:
            raise UnsupportedError(
                f"layer {path} is {kind}, which has no counterpart here; supported are {', '.join(sorted(makers))}"
            )
        try:
            if kind in ("Softmax", "LogSoftmax") and module.dim not in (-1, -1 if rank is None else rank - 1):
                raise UnsupportedError(f"dim={module.dim}; expected dim=-1, the last axis")
            if kind.startswith("Adaptive") and not (place + 1 < len(found) and _is_flatten(found[place + 1][1])):
                raise UnsupportedError("it gives axes of length 1; expected nn.Flatten() behind it")
            for part in makers[kind](module):
                part.fixed += _frozen(module, part)
                yield part
        except UnsupportedError as error:
            raise UnsupportedError(f"layer {path}, {module}, cannot be read: {error}") from None
        rank = _rank_after(kind, rank)


def _rank_after(kind: str, rank: int | None) -> int | None:
    """How many axes a layer gives; where the first one is to say, it takes what `sample_shape` says of it."""
    if kind == "Flatten":
        return 2
    if kind in ("Embedding", "LSTM", "GRU", "RNN", *_SEQUENCES):
        return 3
    return 2 if rank is None and kind == "Linear" else rank


def _is_flatten(module: Any) -> bool:
    return type(module).__name__ == "Flatten"


_TENSORS = {"W{}": "weight", "gamma{}": "weight", "E{}": "weight", "b{}": "bias", "beta{}": "bias"}
_SEQUENCES: dict[str, Callable[[Any], Iterator[Part]]] = {
    "MultiheadAttention": attention,
    "TransformerEncoderLayer": encoder_layer,
    "TransformerEncoder": encoder,
}


def _frozen(module: Any, part: Part) -> tuple[str, ...]:
    """What a module of one weight and one bias does not train."""
    tensors = {name: getattr(module, _TENSORS[name], None) for name in part.values if name in _TENSORS}
    return tuple(name for name, tensor in tensors.items() if not getattr(tensor, "requires_grad", True))


def _only(module: Any, **expected: Any) -> None:
    """Check that options have the only values that have a counterpart."""
    for name, value in expected.items():
        found = getattr(module, name)
        found = set(found) if isinstance(found, tuple) else {found}
        if found != {value}:
            raise UnsupportedError(f"{name}={getattr(module, name)!r}; expected {value!r}")


def _weights(module: Any) -> dict[str, Any]:
    values = {"W{}": array_of(module.weight)}
    return values if module.bias is None else {**values, "b{}": array_of(module.bias)}


def _linear(module: Any) -> Iterator[Part]:
    layer = L.Dense(module.out_features, bias=module.bias is not None)
    yield Part(layer, _weights(module), inputs=module.in_features)


def _convolution(module: Any) -> Iterator[Part]:
    _only(module, padding_mode="zeros")
    kind = L.Conv1D if type(module).__name__ == "Conv1d" else L.Conv2D
    layer = kind(
        module.out_channels, module.kernel_size, module.stride, module.padding, module.dilation,
        groups=module.groups, bias=module.bias is not None,
    )  # fmt: skip
    yield Part(layer, _weights(module))


def _transposed(module: Any) -> Iterator[Part]:
    _only(module, padding_mode="zeros", groups=1)
    kind = L.ConvTranspose1D if type(module).__name__ == "ConvTranspose1d" else L.ConvTranspose2D
    layer = kind(
        module.out_channels, module.kernel_size, module.stride, module.padding, module.output_padding, module.dilation,
        bias=module.bias is not None,
    )  # fmt: skip
    yield Part(layer, _weights(module))


def _pool(module: Any) -> Iterator[Part]:
    name = type(module).__name__
    _only(module, padding=0, ceil_mode=False)
    if name.startswith("Max"):
        _only(module, dilation=1, return_indices=False)
    elif name == "AvgPool2d":
        _only(module, divisor_override=None)
    kind = getattr(L, f"{'Max' if name.startswith('Max') else 'Average'}Pool{name[-2]}D")
    yield Part(kind(module.kernel_size, module.stride))


def _global_pool(module: Any) -> Iterator[Part]:
    _only(module, output_size=1)
    yield Part(L.GlobalMaxPool() if "Max" in type(module).__name__ else L.GlobalAveragePool())


def _flatten(module: Any) -> Iterator[Part]:
    _only(module, start_dim=1, end_dim=-1)
    yield Part(L.Flatten())


def _affine(module: Any, count: int) -> dict[str, Any]:
    """gamma and beta; where the module has none, 1 and 0."""
    given = {"gamma{}": (module.weight, np.ones), "beta{}": (module.bias, np.zeros)}
    return {name: make(count) if tensor is None else array_of(tensor) for name, (tensor, make) in given.items()}


def _missing(module: Any) -> tuple[str, ...]:
    return tuple(name for name, tensor in (("gamma{}", module.weight), ("beta{}", module.bias)) if tensor is None)


def _batch_norm(module: Any) -> Iterator[Part]:
    if module.running_mean is None or module.momentum is None:
        raise UnsupportedError("expected track_running_stats=True and a number for momentum")
    values = _affine(module, module.num_features)
    values |= {"running_mean{}": array_of(module.running_mean), "running_var{}": array_of(module.running_var)}
    yield Part(L.BatchNorm(1, module.momentum, module.eps), values, _missing(module))


def _layer_norm(module: Any) -> Iterator[Part]:
    if len(module.normalized_shape) != 1:
        raise UnsupportedError(f"normalized_shape={tuple(module.normalized_shape)}; expected one axis, the last")
    yield from _normalised(module, L.LayerNorm, (module.eps,), module.normalized_shape[0])


def _group_norm(module: Any) -> Iterator[Part]:
    yield from _normalised(module, L.GroupNorm, (module.num_groups, module.eps), module.num_channels)


def _normalised(module: Any, kind: Any, options: tuple[Any, ...], count: int) -> Iterator[Part]:
    if module.weight is None:
        yield Part(kind(*options, affine=False))
    else:
        yield Part(kind(*options), _affine(module, count), _missing(module))


def _embedding(module: Any) -> Iterator[Part]:
    _only(module, padding_idx=None, max_norm=None, scale_grad_by_freq=False)
    yield Part(L.Embedding(module.num_embeddings, module.embedding_dim), {"E{}": array_of(module.weight)})


def _activation(make: Callable[[Any], Any]) -> Callable[[Any], Iterator[Part]]:
    return lambda module: iter([Part(L.Activation(make(module)))])


def with_constant(function: Any, value: float, usual: float) -> Any:
    """An activation with another constant than its usual one."""
    if value == usual:
        return function
    return functools.update_wrapper(functools.partial(function, alpha=sympy.Rational(str(value))), function)


def _softplus(module: Any) -> Any:
    _only(module, beta=1)
    if module.threshold < 20:  # from there on it is x itself, which differs by exp(-threshold)
        raise UnsupportedError(f"threshold={module.threshold}; expected 20 or more")
    return activations.softplus


_MAKERS: dict[str, Callable[[Any], Iterator[Part]]] = {
    "Linear": _linear, "Conv1d": _convolution, "Conv2d": _convolution, "ConvTranspose1d": _transposed,
    "ConvTranspose2d": _transposed, "MaxPool1d": _pool, "MaxPool2d": _pool, "AvgPool1d": _pool, "AvgPool2d": _pool,
    "AdaptiveAvgPool1d": _global_pool, "AdaptiveAvgPool2d": _global_pool, "AdaptiveMaxPool1d": _global_pool,
    "AdaptiveMaxPool2d": _global_pool, "Flatten": _flatten, "BatchNorm1d": _batch_norm, "BatchNorm2d": _batch_norm,
    "LayerNorm": _layer_norm, "GroupNorm": _group_norm, "Embedding": _embedding,
    "Dropout": lambda module: iter([Part(L.Dropout(module.p))]),
    "Identity": lambda module: iter(()),
    "Sigmoid": _activation(lambda module: activations.sigmoid),
    "Tanh": _activation(lambda module: activations.tanh),
    "ReLU": _activation(lambda module: activations.relu),
    "LeakyReLU": _activation(lambda module: with_constant(activations.leaky_relu, module.negative_slope, 0.01)),
    "ELU": _activation(lambda module: with_constant(activations.elu, module.alpha, 1)),
    "Softplus": _activation(_softplus),
    "SiLU": _activation(lambda module: activations.silu),
    "GELU": _activation(lambda m: activations.gelu_tanh if m.approximate == "tanh" else activations.gelu),
    "Softmax": _activation(lambda module: activations.softmax),
    "LogSoftmax": _activation(lambda module: activations.log_softmax),
}  # fmt: skip
