"""Figures from samples: medians with spread, ratios to the best peer, shares of the machine's peak."""

from __future__ import annotations

from typing import Any

import numpy as np

from .systems import OURS


def spread(samples: Any) -> dict[str, float]:
    low, first, median, third = np.quantile(samples, [0, 0.25, 0.5, 0.75])
    return {"median": float(median), "min": float(low), "q1": float(first), "q3": float(third), "n": len(samples)}


def summarise(result: dict[str, Any], machine: dict[str, Any]) -> dict[str, Any]:
    """Add the figures to what `driver.run_workload` returns; the samples stay beside them."""
    peak = max(limit[f"{result['dtype']}_gflops"] for limit in machine.values())
    measured = {name: row for name, row in result["systems"].items() if row.get("rounds")}
    for row in measured.values():
        row["us"] = spread(np.concatenate(row["rounds"]))
        row["gflops"] = result["flops"] / row["us"]["median"] / 1e3
        row["percent_of_peak"] = 100 * row["gflops"] / peak
        row["compile_s"] = max(0.0, row["first_s"] - row["first_steps"] * row["us"]["median"] / 1e6)
    ours, peers = measured.get("gradloom"), {name: row for name, row in measured.items() if name not in OURS}
    result["best_peer"] = min(peers, key=lambda name: peers[name]["us"]["median"]) if peers else None
    result["ratios"] = {}
    if ours:
        against = {"best_peer": result["best_peer"], "torch": "torch" if "torch" in peers else None}
        result["ratios"] = {key: ratio(ours, measured[name]) for key, name in against.items() if name}
    by_call, one = measured.get("gradloom-step"), {n: row for n, row in peers.items() if n != "jax-scan"}
    if by_call and one:
        best = min(one, key=lambda name: one[name]["us"]["median"])
        result["ratios"]["a_call_a_step"] = {"peer": best, **ratio(by_call, one[best])}
    return result


def ratio(ours: dict[str, Any], peer: dict[str, Any]) -> dict[str, float]:
    """How many times as fast: the ratio of medians, and the quartiles of the ratio within each round."""
    rounds = [np.median(theirs) / np.median(mine) for theirs, mine in zip(peer["rounds"], ours["rounds"], strict=True)]
    first, third = np.quantile(rounds, [0.25, 0.75])
    found = {"ratio": peer["us"]["median"] / ours["us"]["median"], "q1": float(first), "q3": float(third)}
    return {**found, "of_minima": peer["us"]["min"] / ours["us"]["min"]}
