"""The layers of a layered layout: which box stands in which, what long links pass through, and how far apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

Link: TypeAlias = tuple[int, int]
_Pull: TypeAlias = tuple[int, float, float]  # towards what, the link's weight, and how strongly
SWEEPS = 24


def ranks(count: int, links: Sequence[Link]) -> list[int]:
    """The layer of each box: behind all that lead to it; what nothing leads to stands right before its first reader.

    Parameters
    ----------
    links : each from a smaller place to a larger one
    """
    rank = [0] * count
    for tail, head in sorted(links):
        rank[head] = max(rank[head], rank[tail] + 1)
    entered = {head for _, head in links}
    for place in range(count):
        readers = [rank[head] for tail, head in links if tail == place]
        if place not in entered and readers:
            rank[place] = min(readers) - 1
    return rank


def with_waypoints(rank: Sequence[int], links: Sequence[Link]) -> tuple[list[int], list[Link], list[list[int]]]:
    """Links of one layer each: a longer one passes through a waypoint in every layer between.

    Returns
    -------
    The layers of the boxes and of the waypoints behind them, the short links, and the waypoints of each link.
    """
    ranked, pieces, ways = list(rank), [], []
    for tail, head in links:
        way = list(range(len(ranked), len(ranked) + rank[head] - rank[tail] - 1))
        ranked += range(rank[tail] + 1, rank[head])
        pieces += list(pairwise([tail, *way, head]))
        ways.append(way)
    return ranked, pieces, ways


def set_in_rows(
    rows: Sequence[Sequence[int]],
    widths: Sequence[float],
    pieces: Sequence[Link],
    weights: Sequence[float],
    beside: float,
    boxes: int,
) -> list[float]:
    """Positions along the layers, in the order given, each near the middle of what it is linked with.

    The layers are set in turn, down and up, each as near as its order and its gaps allow to where its links pull it
    (least squares in a given order, by pooling adjacent violators). Only the heaviest links at a box pull it, those at
    waypoints more than others, so that long links are straight.
    """
    near: dict[int, list[_Pull]] = {}
    for (tail, head), weight in zip(pieces, weights, strict=True):
        strength = weight * (1.0 + (tail >= boxes) + (head >= boxes))
        near.setdefault(tail, []).append((head, weight, strength))
        near.setdefault(head, []).append((tail, weight, strength))
    at = [0.0] * len(widths)
    gaps = [[0.0] + [beside + (widths[a] + widths[b]) / 2 for a, b in pairwise(row)] for row in rows]
    for row, gap in zip(rows, gaps, strict=True):
        for place, box in enumerate(row):
            at[box] = sum(gap[: place + 1]) - sum(gap) / 2
    row_of = {box: number for number, row in enumerate(rows) for box in row}
    for sweep in range(SWEEPS):
        forth = sweep % 2 == 0
        for number in range(len(rows)) if forth else reversed(range(len(rows))):
            behind = number - 1 if forth else number + 1
            wanted, stiffness = [], []
            for box in rows[number]:
                pulls = near.get(box, [])
                if sweep < SWEEPS - 2:  # towards the layer that was set just now; at last towards both
                    pulls = [pull for pull in pulls if row_of[pull[0]] == behind] or pulls
                position, total = _pulled(pulls, at)
                wanted.append(position if total else at[box])
                stiffness.append(total or 0.01)
            for box, position in zip(rows[number], _in_order(wanted, stiffness, gaps[number]), strict=True):
                at[box] = position
    return at


def _pulled(pulls: Sequence[_Pull], at: Sequence[float]) -> tuple[float, float]:
    """Where the heaviest links pull to, and how strongly all do."""
    most = max((weight for _, weight, _ in pulls), default=0.0)
    heaviest = [pull for pull in pulls if pull[1] == most]
    total = sum(strength for _, _, strength in heaviest)
    middle = sum(at[other] * strength for other, _, strength in heaviest) / total if total else 0.0
    return middle, sum(weight for _, weight, _ in pulls)


def _in_order(wanted: Sequence[float], stiffness: Sequence[float], gaps: Sequence[float]) -> list[float]:
    """The positions nearest to `wanted` of which each is at least its gap behind the one before."""
    shifts = [sum(gaps[: place + 1]) for place in range(len(gaps))]
    pools: list[tuple[float, float, int]] = []  # sum, weight, count
    for position, weight, shift in zip(wanted, stiffness, shifts, strict=True):
        pools.append(((position - shift) * weight, weight, 1))
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] > pools[-1][0] / pools[-1][1]:
            last, before = pools.pop(), pools.pop()
            pools.append((before[0] + last[0], before[1] + last[1], before[2] + last[2]))
    means = [total / weight for total, weight, count in pools for _ in range(count)]
    return [mean + shift for mean, shift in zip(means, shifts, strict=True)]
