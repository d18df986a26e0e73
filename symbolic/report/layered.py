"""Layered layouts of directed graphs: where each box stands, and along which curve each link runs.

Graphviz's ``dot`` is asked if it is installed, else igraph, a library of the extra ``pages``. Both follow the method of
K. Sugiyama, S. Tagawa and M. Toda (IEEE Trans. Systems, Man, and Cybernetics 11, 1981): boxes stand in layers, links
lead from layer to layer. A link from a box to an earlier one, as in a recurrence, is led around outside of all boxes.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

from ..errors import UnsupportedError
from .layers import ranks, set_in_rows, with_waypoints

Point: TypeAlias = tuple[float, float]
Curve: TypeAlias = tuple[Point, ...]  # cubic Bézier pieces: a start, then three points for each piece
Engine: TypeAlias = Literal["dot", "igraph"]
LANE = 14.0  # between two links that run around
LOOP = 16.0  # how far a link from a box to itself leads off
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
class Layout:
    """Where things are, in points from the upper left corner, y downwards.

    Attributes
    ----------
    width, height : of the whole
    centres : of the boxes, in their order
    curves : of the links, in their order, each from the edge of its tail to the edge of its head
    """

    width: float
    height: float
    centres: tuple[Point, ...]
    curves: tuple[Curve, ...]


def engine_here() -> Engine:
    """The engine that this machine has.

    Raises
    ------
    UnsupportedError
        If it has none.
    """
    if shutil.which("dot"):
        return "dot"
    try:
        import igraph  # noqa: F401
    except ImportError:
        raise UnsupportedError(_MISSING) from None
    return "igraph"


def layered(
    boxes: Sequence[Box],
    links: Sequence[tuple[int, int]],
    *,
    weights: Sequence[float] | None = None,
    direction: Literal["down", "right"] = "down",
    between: float = 24.0,
    beside: float = 16.0,
    spread: float = 0.0,
    flush: bool = False,
    engine: Engine | None = None,
) -> Layout:
    """Lay boxes out in layers.

    Parameters
    ----------
    boxes : in an order in which each stands behind those that lead to it, but for links that go back
    links : (tail, head), places in `boxes`; where the head is not behind the tail, the link goes back
    weights : of the links; a heavier one is straighter, and of those at a box the heaviest place it
    direction : where links lead
    between, beside : the least gap between two layers, and between two boxes of one layer
    spread : how far apart links meet one box; with 0 they meet in the middle of its side
    flush : whether the boxes of a layer end at one line; else their middles are on one
    engine : "dot" or "igraph"; by default "dot" where it is installed

    Raises
    ------
    UnsupportedError
        If there is no engine.
    """
    if not boxes:
        return Layout(0.0, 0.0, (), ())
    engine = engine or engine_here()
    turned = direction == "right"
    upright = [Box(box.height, box.width) if turned else box for box in boxes]
    loops = {tail for tail, head in links if tail == head}
    roomy = [Box(box.width + 2 * LOOP * (place in loops), box.height) for place, box in enumerate(upright)]
    ahead = [place for place, (tail, head) in enumerate(links) if tail < head]
    pulls = [1.0 if weights is None else weights[place] for place in ahead]
    style = _Style(between, beside, spread, flush, engine)
    centres, found, spans = _ahead(roomy, [links[place] for place in ahead], pulls, style)
    curves = dict(zip(ahead, found, strict=True))
    curves |= {place: _loop(upright[t], centres[t]) for place, (t, head) in enumerate(links) if t == head}
    back = {place: link for place, link in enumerate(links) if place not in curves}
    curves |= _around(upright, centres, spans, back, between)
    return _measured(boxes, centres, [curves[place] for place in range(len(links))], turned)


def _measured(boxes: Sequence[Box], centres: Sequence[Point], curves: Sequence[Curve], turned: bool) -> Layout:
    """Turned to its direction, and moved so that everything begins at (0, 0)."""

    def turn(point: Point) -> Point:
        return (point[1], point[0]) if turned else point

    at = [turn(point) for point in centres]
    led = [tuple(turn(point) for point in curve) for curve in curves]
    corners = [
        (x + sign * box.width / 2, y + sign * box.height / 2)
        for (x, y), box in zip(at, boxes, strict=True)
        for sign in (-1, 1)
    ]
    corners += [point for curve in led for point in curve]
    left, top = (min(point[axis] for point in corners) for axis in (0, 1))
    right, bottom = (max(point[axis] for point in corners) for axis in (0, 1))

    def move(point: Point) -> Point:
        return (round(point[0] - left, 2), round(point[1] - top, 2))

    return Layout(
        round(right - left, 2),
        round(bottom - top, 2),
        tuple(map(move, at)),
        tuple(tuple(map(move, curve)) for curve in led),
    )


# ---- engines -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Style:
    """How `layered` was asked to lay out."""

    between: float
    beside: float
    spread: float
    flush: bool
    engine: Engine


def _ahead(
    boxes: Sequence[Box], links: Sequence[tuple[int, int]], weights: Sequence[float], style: _Style
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
    style: _Style,
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
        raise UnsupportedError(_MISSING) from None
    graph = igraph.Graph(n=len(ranked), edges=list(pieces), directed=True)
    found = graph.layout_sugiyama(layers=list(ranked), maxiter=200)
    return [float(point[0]) for point in (found[0] if isinstance(found, tuple) else found)]


def _smooth(stops: Sequence[Point]) -> Curve:
    """A curve through points that leaves and enters each straight downwards."""
    points = [stops[0]]
    for (x, y), (u, v) in pairwise(stops):
        points += [(x, (y + v) / 2), (u, (y + v) / 2), (u, v)]
    return tuple(points)


# ---- links that go back ------------------------------------------------------------------------------------------


def _loop(box: Box, centre: Point) -> Curve:
    """From the right side of a box to the same side, below where it began."""
    x, y = centre[0] + box.width / 2, centre[1]
    far, part = x + 1.3 * LOOP, box.height / 4
    return ((x, y + part), (far, y + part), (far, y - part), (x, y - part))


def _around(
    boxes: Sequence[Box],
    centres: Sequence[Point],
    spans: Sequence[Point],
    links: dict[int, tuple[int, int]],
    between: float,
) -> dict[int, Curve]:
    """From below the tail, up a lane right of everything, to above the head; those of one tail share a lane.

    They end right of the middle, where other links end.
    """
    right = max(x + box.width / 2 for (x, _), box in zip(centres, boxes, strict=True))
    lanes = {tail: right + LANE * (1 + place) for place, tail in enumerate(dict.fromkeys(t for t, _ in links.values()))}
    made = {}
    for place, (tail, head) in links.items():
        start, end = (
            (centres[box][0] + boxes[box].width / 4, centres[box][1] + sign * boxes[box].height / 2)
            for box, sign in ((tail, 1), (head, -1))
        )
        # The layer's edges, not the box's: a horizontal part must pass all boxes of the layer.
        low, high = spans[tail][1] + between / 3, spans[head][0] - between / 3
        lane = lanes[tail]
        corners = [start, (start[0], low), (lane, low), (lane, high), (end[0], high), end]
        made[place] = _rounded(corners, between / 3)
    return made


def _rounded(corners: Sequence[Point], radius: float) -> Curve:
    """Straight parts with round corners."""
    points = [corners[0]]

    def straight(to: Point) -> None:
        points.extend([points[-1], to, to])

    for before, corner, after in zip(corners, corners[1:], corners[2:], strict=False):
        here, there = (_towards(corner, other, radius) for other in (before, after))
        straight(here)
        points.extend([corner, corner, there])
    straight(corners[-1])
    return tuple(points)


def _towards(start: Point, end: Point, distance: float) -> Point:
    length = abs(end[0] - start[0]) + abs(end[1] - start[1])  # along one axis
    part = min(distance / length, 0.5) if length else 0.0
    return (start[0] + part * (end[0] - start[0]), start[1] + part * (end[1] - start[1]))


__all__ = ["Box", "Curve", "Engine", "Layout", "Point", "engine_here", "layered"]
