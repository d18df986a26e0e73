"""The engines of layouts, Graphviz and igraph, and the curves of the links that lead from layer to layer."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

from ..errors import MissingExtraError, UnsupportedError
from .layers import ranks, set_in_rows, with_waypoints

Point: TypeAlias = tuple[float, float]
Curve: TypeAlias = tuple[Point, ...]  # cubic Bézier pieces: a start, then three points for each piece
Engine: TypeAlias = Literal["dot", "igraph"]
_MISSING = (
    "a picture needs a layout, by igraph or Graphviz, and neither is installed: "
    'pip install "gradloom[pages]", or install Graphviz so that its command dot is found'
)


@dataclass(frozen=True)
class Box:
    """Something of a size, in points."""

    width: float
    height: float


@dataclass(frozen=True)
class Style:
    """How `layered` was asked to lay out."""

    between: float
    beside: float
    spread: float
    flush: bool
    engine: Engine


def engine_here() -> Engine:
    """The engine that this machine has.

    Raises
    ------
    MissingExtraError
        If it has none.
    """
    if shutil.which("dot"):
        return "dot"
    try:
        import igraph  # noqa: F401
    except ImportError:
        raise MissingExtraError(_MISSING) from None
    return "igraph"


def ahead(
    boxes: Sequence[Box], links: Sequence[tuple[int, int]], weights: Sequence[float], style: Style
) -> tuple[list[Point], list[Curve], list[Point]]:
    """The centres of boxes, the curves of links that lead ahead, and where each box's layer begins and ends."""
    ranked, pieces, ways = with_waypoints(ranks(len(boxes), links), links)
    widths = [box.width for box in boxes] + [0.0] * (len(ranked) - len(boxes))
    pulls = [weight for weight, way in zip(weights, ways, strict=True) for _ in range(len(way) + 1)]
    if style.engine == "dot":
        across = _by_dot(widths, ranked, pieces, pulls, style.beside)
    else:
        order = _by_igraph(ranked, pieces)
        rows: list[list[int]] = [[] for _ in range(1 + max(ranked))]
        for place in sorted(range(len(ranked)), key=lambda place: (order[place], place)):
            rows[ranked[place]].append(place)
        across = set_in_rows(rows, widths, pieces, pulls, style.beside, len(boxes))
    arrive = _arrivals(across, links, ways, style.spread)
    spans = _bands(
        [boxes[p].height if p < len(boxes) else 0.0 for p in range(len(ranked))], ranked, pieces, across, style
    )
    middles = [
        spans[rank][1] - box.height / 2 if style.flush else sum(spans[rank]) / 2
        for rank, box in zip(ranked, boxes, strict=False)
    ]
    curves = []
    for (tail, head), way, end in zip(links, ways, arrive, strict=True):
        # Straight through every layer, where nothing else stands.
        stops = [(across[tail], middles[tail] + boxes[tail].height / 2), (across[tail], spans[ranked[tail]][1])]
        stops += [(across[place], edge) for place in way for edge in spans[ranked[place]]]
        stops += [(end, spans[ranked[head]][0]), (end, middles[head] - boxes[head].height / 2)]
        curves.append(_smooth(stops))
    centres = [(across[place], middles[place]) for place in range(len(boxes))]
    return centres, curves, [spans[rank] for rank in ranked[: len(boxes)]]


def _bands(
    heights: Sequence[float],
    ranked: Sequence[int],
    pieces: Sequence[tuple[int, int]],
    across: Sequence[float],
    style: Style,
) -> list[Point]:
    """Where each layer begins and ends; there is more room where links lead far aside."""
    count = 1 + max(ranked)
    tallest, farthest = [0.0] * count, [0.0] * count
    for rank, height in zip(ranked, heights, strict=True):
        tallest[rank] = max(tallest[rank], height)
    for tail, head in pieces:
        farthest[ranked[tail]] = max(farthest[ranked[tail]], abs(across[tail] - across[head]))
    spans, top = [], 0.0
    for height, far in zip(tallest, farthest, strict=True):
        spans.append((top, top + height))
        top += height + style.between + min(far / 12, style.between)
    return spans


def _arrivals(
    across: Sequence[float], links: Sequence[tuple[int, int]], ways: Sequence[Sequence[int]], spread: float
) -> list[float]:
    """Where each link meets its head: those of one head side by side, in the order in which they come."""
    coming: dict[int, list[int]] = {}
    for number, (_, head) in enumerate(links):
        coming.setdefault(head, []).append(number)
    ends = [across[head] for _, head in links]
    for head, numbers in coming.items():
        before = [across[ways[number][-1] if ways[number] else links[number][0]] for number in numbers]
        step = min(spread, 2.4 * spread / max(len(numbers) - 1, 1)) if spread else 0.0
        for order, (_, number) in enumerate(sorted(zip(before, numbers, strict=True))):
            ends[number] = across[head] + (order - (len(numbers) - 1) / 2) * step
    return ends


def _by_dot(
    widths: Sequence[float],
    ranked: Sequence[int],
    pieces: Sequence[tuple[int, int]],
    pulls: Sequence[float],
    beside: float,
) -> list[float]:
    """Positions along the layers, by Graphviz."""
    lines = [f"graph [nodesep={beside / 72:.4f}]", 'node [shape=box, fixedsize=true, label="", height=0.1]']
    lines += [f"{place} [width={max(width, 1) / 72:.4f}]" for place, width in enumerate(widths)]
    for rank in range(1 + max(ranked)):
        row = [str(place) for place, other in enumerate(ranked) if other == rank]
        lines.append("{rank=same; " + "; ".join(row) + "}")
    lines += [f"{tail} -> {head} [weight={pull:g}]" for (tail, head), pull in zip(pieces, pulls, strict=True)]
    source = "digraph {\n" + "\n".join(lines) + "\n}\n"
    done = subprocess.run(["dot", "-Tplain"], input=source, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise UnsupportedError(f'Graphviz cannot lay this out: {done.stderr.strip()}; try engine="igraph"')
    across = [0.0] * len(widths)
    for line in done.stdout.splitlines():
        kind, *words = line.split()
        if kind == "node":
            across[int(words[0])] = 72 * float(words[1])
    return across


def _by_igraph(ranked: Sequence[int], pieces: Sequence[tuple[int, int]]) -> list[float]:
    """An order along the layers with few crossings, by igraph, which knows no widths."""
    try:
        import igraph
    except ImportError:
        raise MissingExtraError(_MISSING) from None
    graph = igraph.Graph(n=len(ranked), edges=list(pieces), directed=True)
    found = graph.layout_sugiyama(layers=list(ranked), maxiter=200)
    return [float(point[0]) for point in (found[0] if isinstance(found, tuple) else found)]


def _smooth(stops: Sequence[Point]) -> Curve:
    """A curve through points that leaves and enters each straight downwards."""
    points = [stops[0]]
    for (x, y), (u, v) in pairwise(stops):
        points += [(x, (y + v) / 2), (u, (y + v) / 2), (u, v)]
    return tuple(points)
