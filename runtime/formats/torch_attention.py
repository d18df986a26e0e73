"""Attention of PyTorch and its transformers' layers: one matrix has queries, keys and values one below the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...symbolic import activations
from ...symbolic import layers as L
from ...symbolic.errors import UnsupportedError
from .imported import Part


def array_of(tensor: Any) -> Any:
    return np.array(tensor.detach().cpu().double().numpy())


def attention(module: Any) -> Iterator[Part]:
    """Self-attention: queries, keys and values are of the same data."""
    _check(module)
    layer, values, fixed = _attention(module, "")
    yield Part(layer, values, fixed, module.embed_dim)


def encoder_layer(module: Any) -> Iterator[Part]:
    """A block, as it stands: normalised before each part, or behind its sum."""
    own = module.self_attn
    _check(own)
    chosen = {1: activations.relu, 2: activations.gelu}.get(module.activation_relu_or_gelu)
    if chosen is None:
        raise UnsupportedError(f"activation={module.activation!r}; expected 'relu' or 'gelu'")
    attends: list[Any] = [None, module.dropout1]
    feeds: list[Any] = [module.linear1, module.dropout, module.linear2, module.dropout2]
    if module.norm_first:
        yield _residual([module.norm1, *attends], own, chosen, own.embed_dim)
        yield _residual([module.norm2, *feeds], own, chosen)
    else:
        yield _residual(attends, own, chosen, own.embed_dim)
        yield _plain(module.norm1)
        yield _residual(feeds, own, chosen)
        yield _plain(module.norm2)


def encoder(module: Any) -> Iterator[Part]:
    for layer in module.layers:
        if type(layer).__name__ != "TransformerEncoderLayer" or not type(layer).__module__.startswith("torch.nn."):
            raise UnsupportedError(f"it is made of {type(layer).__name__}; expected TransformerEncoderLayer")
        yield from encoder_layer(layer)
    if module.norm is not None:
        if type(module.norm).__name__ != "LayerNorm":
            raise UnsupportedError(f"norm={module.norm!r}; expected LayerNorm or None")
        yield _plain(module.norm)


def _residual(modules: list[Any], own: Any, activation: Any, inputs: int | None = None) -> Part:
    """These modules, one after another, beside what comes in; None stands for the attention `own`."""
    layers: list[Any] = []
    values: dict[str, Any] = {}
    fixed: tuple[str, ...] = ()
    for module in modules:
        behind, kind = f"_{len(layers) + 1}", type(module).__name__
        if kind == "Dropout":
            if module.p:
                layers.append(L.Dropout(module.p))
            continue
        if module is None:
            made, more, still = _attention(own, behind)
        elif kind == "LayerNorm":
            part = _plain(module, behind)
            made, more, still = part.layer, part.values, part.fixed
        elif kind == "Linear":
            tensors = {"W": module.weight, "b": module.bias}
            function = activation if module is modules[-4] else activations.identity
            made = L.Dense(module.out_features, function, bias=module.bias is not None)
            more, still = _named(tensors, behind)
        else:
            raise UnsupportedError(f"it has {module!r}; expected Linear, LayerNorm and Dropout")
        layers.append(made)
        values |= more
        fixed += still
    return Part(L.Residual(layers), values, fixed, inputs)


def _plain(module: Any, behind: str = "") -> Part:
    if module.weight is None or len(module.normalized_shape) != 1:
        raise UnsupportedError(f"it has {module!r}; expected a LayerNorm of the last axis, with a weight")
    more, still = _named({"gamma": module.weight, "beta": module.bias}, behind)
    if module.bias is None:
        more[f"beta{{}}{behind}"], still = np.zeros(module.normalized_shape), (*still, f"beta{{}}{behind}")
    return Part(L.LayerNorm(module.eps), more, still)


def _named(tensors: dict[str, Any], behind: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Values by name, and the names of those that PyTorch does not train."""
    there = {f"{letter}{{}}{behind}": tensor for letter, tensor in tensors.items() if tensor is not None}
    fixed = tuple(name for name, tensor in there.items() if not tensor.requires_grad)
    return {name: array_of(tensor) for name, tensor in there.items()}, fixed


def _check(module: Any) -> None:
    if not module.batch_first:
        raise UnsupportedError("batch_first=False; expected batch_first=True, with data (batch, time, features)")
    if module.dropout:
        raise UnsupportedError(
            f"dropout={module.dropout} of attention's weights has no counterpart; expected 0: set it, as in "
            "self_attn.dropout = 0.0 (the other dropouts of a block are read)"
        )
    if not module._qkv_same_embed_dim or module.bias_k is not None or module.add_zero_attn:
        raise UnsupportedError("kdim, vdim, add_bias_kv or add_zero_attn is set; expected self-attention without them")


def _attention(module: Any, behind: str) -> tuple[L.Layer, dict[str, Any], tuple[str, ...]]:
    """The bias of keys is left out: it adds the same to all scores of a query, which the softmax ignores."""
    heads, n = module.num_heads, module.embed_dim
    units = n // heads
    values: dict[str, Any] = {}
    for letter, rows in zip("qkv", np.split(array_of(module.in_proj_weight), 3), strict=True):
        values[f"W{letter}{{}}{behind}"] = rows.reshape(heads, units, n)
    values[f"Wo{{}}{behind}"] = array_of(module.out_proj.weight).reshape(n, heads, units)
    frozen = {"Wq": module.in_proj_weight, "Wk": module.in_proj_weight, "Wv": module.in_proj_weight}
    frozen["Wo"] = module.out_proj.weight
    if module.in_proj_bias is not None:
        for letter, row in zip("qkv", np.split(array_of(module.in_proj_bias), 3), strict=True):
            if letter != "k":
                values[f"b{letter}{{}}{behind}"] = row.reshape(heads, units)
                frozen[f"b{letter}"] = module.in_proj_bias
        values[f"bo{{}}{behind}"] = array_of(module.out_proj.bias)
        frozen["bo"] = module.out_proj.bias
    fixed = tuple(f"{name}{{}}{behind}" for name, tensor in frozen.items() if not tensor.requires_grad)
    return L.Attention(heads, bias=module.in_proj_bias is not None), values, fixed
