"""Random layers over sequences (T, n) with what PyTorch calls them: recurrent ones and attention."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from oracles import ACTIVATIONS
from random_layers import Draw, Piece, Shape, norm

from gradloom.symbolic import layers as L


def recurrent(draw: Draw, shape: Shape, units: Any = None, whole: bool | None = None) -> Piece:
    """An RNN, GRU or LSTM with any of its options, written out step by step for PyTorch."""
    kind = draw.pick(["RNN", "GRU", "LSTM"])
    whole = draw.chance() if whole is None else whole
    ours, theirs = ACTIVATIONS[draw.pick(["tanh", "sigmoid", "relu", "softplus", "softmax"])]
    options = {
        "return_sequences": whole,
        "initial": draw.pick([None, None, "input", "parameter"]),
        "reverse": draw.chance(0.3),
        "mask": draw.mask(shape[0]) if draw.chance(0.3) else None,
        "truncate": int(draw.pick([1, 2, 3])) if draw.chance(0.2) else None,
        "bias": draw.chance(0.8),
    }
    both = draw.chance(0.3) and not options["reverse"] and units is None
    own: dict[str, Any] = {"activation": ours} if kind == "RNN" else {}
    own |= {"peepholes": draw.chance(0.3)} if kind == "LSTM" else {}
    units = draw.size(shape, (2, 3, 5)) if units is None else units
    layer, size = getattr(L, kind)(units, **options, **own), draw.number(units)

    def run(x: Any, w: Any, at: Any, reverse: bool) -> Any:
        def gate(name: str, x: Any, h: Any) -> Any:
            z = F.linear(x, w[f"W{name}{at}"]) + F.linear(h, w[f"U{name}{at}"])
            return z + w[f"b{name}{at}"] if options["bias"] else z

        def peep(name: str, c: Any) -> Any:
            return w[f"P{name}{at}"] * c if own["peepholes"] else 0

        def rnn(x: Any, h: Any) -> Any:
            return [theirs(gate("", x, h))]

        def gru(x: Any, h: Any) -> Any:
            r, u = torch.sigmoid(gate("r", x, h)), torch.sigmoid(gate("u", x, h))
            b, c = (w[f"bn{at}"], w[f"cn{at}"]) if options["bias"] else (0, 0)
            n = torch.tanh(F.linear(x, w[f"Wn{at}"]) + b + r * (F.linear(h, w[f"Un{at}"]) + c))
            return [(1 - u) * n + u * h]

        def lstm(x: Any, h: Any, c: Any) -> Any:
            write = torch.sigmoid(gate("i", x, h) + peep("i", c))
            keep = torch.sigmoid(gate("f", x, h) + peep("f", c))
            c = keep * c + write * torch.tanh(gate("g", x, h))
            return [torch.sigmoid(gate("o", x, h) + peep("o", c)) * torch.tanh(c), c]

        length, step = x.shape[1], {"RNN": rnn, "GRU": gru, "LSTM": lstm}[kind]
        letters = "hc" if kind == "LSTM" else "h"
        states = [w.get(f"{letter}0_{at}", torch.zeros(size, dtype=x.dtype)).expand(len(x), size) for letter in letters]
        seen = w[options["mask"]][:, :, None] if options["mask"] else None
        made = []
        for count, t in enumerate(reversed(range(length)) if reverse else range(length)):
            if options["truncate"] and count and count % options["truncate"] == 0:
                states = [state.detach() for state in states]
            after = step(x[:, t], *states)
            if seen is not None:
                after = [seen[:, t] * new + (1 - seen[:, t]) * old for new, old in zip(after, states, strict=True)]
            states = after
            made.append(states[0])
        return torch.stack(made[::-1] if reverse else made, 1) if whole else made[-1]

    if not both:
        return Piece(layer, lambda x, w, at, _: run(x, w, at, options["reverse"]))
    return Piece(
        L.Bidirectional(layer),
        lambda x, w, at, _: torch.cat([run(x, w, f"{at}_1", False), run(x, w, f"{at}_2", True)], -1),
    )


def attend(x: Any, w: Any, at: Any, causal: bool, mask: str | None, bias: bool = True) -> Any:
    """By PyTorch's own attention, of queries, keys and values (B, heads, T, head_units)."""

    def projected(name: str) -> Any:
        made = torch.einsum("hdk,itk->ihtd", w[f"W{name}{at}"], x)
        return made + w[f"b{name}{at}"][:, None, :] if bias and name != "k" else made

    seen = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool)
    seen = seen.tril() if causal else seen
    seen = seen if mask is None else seen & (w[mask] > 0)[:, None, None, :]
    o = F.scaled_dot_product_attention(projected("q"), projected("k"), projected("v"), attn_mask=seen)
    return F.linear(o.transpose(1, 2).flatten(2), w[f"Wo{at}"].flatten(1), w[f"bo{at}"] if bias else None)


def attention(draw: Draw, shape: Shape) -> Piece:
    causal, mask, bias = draw.chance(), draw.mask(shape[0]) if draw.chance(0.3) else None, draw.chance(0.8)
    layer = L.Attention(int(draw.pick([1, 2, 3])), int(draw.pick([2, 3])), causal, mask, bias)
    return Piece(layer, lambda x, w, at, _: attend(x, w, at, causal, mask, bias))


def transformer_block(draw: Draw, shape: Shape) -> Piece | None:
    n = draw.number(shape[-1])
    if n < 3:
        return None
    heads = int(draw.pick([h for h in range(1, n + 1) if n % h == 0])) if shape[-1] == n else 1
    causal, mask = draw.chance(), draw.mask(shape[0]) if draw.chance(0.3) else None
    name = draw.pick(["gelu", "relu", "tanh", "silu"])
    ours, theirs = ACTIVATIONS[name]
    layer = L.TransformerBlock(shape[-1], heads, draw.size(shape), ours, causal, mask)

    def reference(x: Any, w: Any, at: Any, _: bool) -> Any:
        x = x + attend(norm(x, w, f"{at}_1_1"), w, f"{at}_1_2", causal, mask)
        hidden = theirs(F.linear(norm(x, w, f"{at}_2_1"), w[f"W{at}_2_2"], w[f"b{at}_2_2"]))
        return x + F.linear(hidden, w[f"W{at}_2_3"], w[f"b{at}_2_3"])

    return Piece(layer, reference)


def positions(draw: Draw, shape: Shape) -> Piece:
    return Piece(L.Positions(), lambda x, w, at, _: x + w[f"P{at}"])
