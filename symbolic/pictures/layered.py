"""Layered layouts of directed graphs: where each box stands, and along which curve each link runs.

Graphviz's ``dot`` is asked if it is installed, else igraph, a library of the extra ``pages``. Both follow the method of
K. Sugiyama, S. Tagawa and M. Toda (IEEE Trans. Systems, Man, and Cybernetics 11, 1981): boxes stand in layers, links
lead from layer to layer. A link from a box to an earlier one, as in a recurrence, is led around outside of all boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .engines import Box, Curve, Engine, Point, Style, ahead, engine_here

LANE = 14.0  # between two links that run around
LOOP = 16.0  # how far a link from a box to itself leads off


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
    MissingExtraError
        If there is no engine.
    """
    if not boxes:
        return Layout(0.0, 0.0, (), ())
    engine = engine or engine_here()
    turned = direction == "right"
    upright = [Box(box.height, box.width) if turned else box for box in boxes]
    loops = {tail for tail, head in links if tail == head}
    roomy = [Box(box.width + 2 * LOOP * (place in loops), box.height) for place, box in enumerate(upright)]
    onward = [place for place, (tail, head) in enumerate(links) if tail < head]
    pulls = [1.0 if weights is None else weights[place] for place in onward]
    style = Style(between, beside, spread, flush, engine)
    centres, found, spans = ahead(roomy, [links[place] for place in onward], pulls, style)
    curves = dict(zip(onward, found, strict=True))
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


__all__ = ["Box", "Engine", "Layout", "layered"]
