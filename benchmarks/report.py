"""The results as Markdown tables, as JSON, and as a plot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .systems import SYSTEMS

GATHERING = (
    "gradloom takes the rows of each batch by number inside of the timed call, as shuffling needs; the others are "
    "given batches made before. `lax.scan` and gradloom train a whole pass or more in one call, the others take a call "
    "a step."
)
NOTES = {
    "W6": "Symbols are rows looked up in gradloom, JAX and torch.compile; `torch.nn.RNN` multiplies one-hot vectors.",
    "W6l": "Symbols are rows looked up in gradloom, JAX and torch.compile; `torch.nn.LSTM` multiplies one-hot vectors.",
    "W9": "PyTorch and JAX project queries, keys and values in one product, and have a bias of the keys, whose "
    "gradient is 0; gradloom's layer has none.",
    "W10": "PyTorch differentiates in reverse, twice, "
    "JAX and gradloom forward mode over forward mode, which is less work.",
}


def short(value: float) -> str:
    """Three digits, without an exponent."""
    if value >= 1000:
        return f"{value:,.0f}"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{digits}f}"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table whose columns also line up as plain text; numbers stand to the right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]

    def line(row: list[str]) -> str:
        cells = [text.ljust(w) if not c else text.rjust(w) for c, (text, w) in enumerate(zip(row, widths, strict=True))]
        return "| " + " | ".join(cells) + " |"

    rule = "|" + "|".join("-" * (w + 2) if not c else "-" * (w + 1) + ":" for c, w in enumerate(widths)) + "|"
    return "\n".join([line(head), rule, *(line(row) for row in rows)])


def workload_text(result: dict[str, Any]) -> str:
    """One workload: a row for each system, the fastest first."""
    head = [
        "system",
        "µs a step",
        "quartiles",
        "least",
        "% of peak",
        "compile s",
        "cached s",
        "import s",
        "MiB",
        "losses",
    ]
    measured = [(name, row) for name, row in result["systems"].items() if "us" in row]
    rows = []
    for name, row in sorted(measured, key=lambda pair: pair[1]["us"]["median"]):
        us = row["us"]
        cells = [SYSTEMS[name].title, short(us["median"]), f"{short(us['q1'])} – {short(us['q3'])}", short(us["min"])]
        cells += [f"{row['percent_of_peak']:.1f}", f"{row['compile_s']:.2f}"]
        cells += [f"{row['cached_s']:.2f}" if "cached_s" in row else "", f"{row['import_s']:.2f}"]
        rows.append(
            [*cells, f"{row['memory_mib']:.0f}", "DIFFER" if "disagrees" in row else f"{row['losses_apart']:.0e}"]
        )
    lines = [f"## {result['workload']}: {result['title']}", "", table(head, rows), ""]
    absent = [f"{SYSTEMS[name].title} ({row['absent']})" for name, row in result["systems"].items() if "absent" in row]
    lines += ["Not measured: " + ", ".join(absent) + ".", ""] if absent else []
    gradients = result["gradients"]
    if gradients["compared"]:
        lines += [f"Gradients in float64 are {gradients['apart']:.0e} off PyTorch's, of the largest entry.", ""]
    wrong = [row["disagrees"] for row in [*result["systems"].values(), gradients] if "disagrees" in row]
    lines += [f"**These do not compute the same: {text}**\n" for text in wrong]
    note = NOTES.get(result["workload"])
    return "\n".join([*lines, *([note, ""] if note else [])])


def summary(results: list[dict[str, Any]]) -> str:
    """All workloads: gradloom beside the best peer and PyTorch."""
    head = ["workload", "gradloom µs", "best peer", "its µs", "ratio", "quartiles", "goal", "PyTorch", "call a step"]
    rows = []
    for result in results:
        ours, peer, ratios = result["systems"].get("gradloom", {}), result["best_peer"], result["ratios"]
        if "us" not in ours or peer is None:
            continue
        best, call = ratios["best_peer"], ratios.get("a_call_a_step")
        wrong = "disagrees" in result["gradients"] or any("disagrees" in row for row in result["systems"].values())
        row = [result["workload"] + (" DIFFERS" if wrong else ""), short(ours["us"]["median"]), SYSTEMS[peer].title]
        row += [short(result["systems"][peer]["us"]["median"]), f"{best['ratio']:.2f}"]
        row += [f"{best['q1']:.2f} – {best['q3']:.2f}", f"≥ {result['goal']:g}" if result["goal"] else ""]
        row += [f"{ratios['torch']['ratio']:.1f}" if "torch" in ratios else "", f"{call['ratio']:.2f}" if call else ""]
        rows.append(row)
    return table(head, rows) if rows else ""


def markdown(run: dict[str, Any]) -> str:
    setting, machine = run["setting"], run["machine"]
    lines = [
        f"# Training steps: {setting['name']}",
        "",
        f"{setting['processor']}, {setting['cores']} cores ({setting['vectors']}), {setting['threads']} threads "
        f"for every system; Python {setting['python']}; {setting['rounds']} rounds of {setting['seconds']:g} s each. "
        + ", ".join(f"{name} {version}" for name, version in sorted(run["versions"].items()))
        + f". Data: {setting['data']}.",
        "",
        "Ratio: the median of the best peer by that of gradloom, and quartiles of the ratio within a round; then the "
        "same to PyTorch eager, and gradloom called once a step to the best of the peers that are.",
        "",
        summary(run["results"]),
        "",
        GATHERING,
        "",
        "## The machine's limits, in the same run",
        "",
        table(
            ["threads", "float32 GEMM GFLOP/s", "float64 GEMM GFLOP/s", "triad GB/s"],
            [[n, *(f"{m[key]:.0f}" for key in ("float32_gflops", "float64_gflops", "triad_gbs"))]
             for n, m in machine.items()],
        ),
        "",
    ]  # fmt: skip
    return "\n".join([*lines, *(workload_text(result) for result in run["results"])])


def write(run: dict[str, Any], folder: Path) -> list[Path]:
    """Write ``<name>.json`` and ``.md``, and ``.png`` where matplotlib is installed; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / run["setting"]["name"]
    made = [stem.with_suffix(".json"), stem.with_suffix(".md")]
    made[0].write_text(json.dumps(rounded(run), indent=1, ensure_ascii=False) + "\n")
    made[1].write_text(markdown(run))
    shown = [result for result in run["results"] if "best_peer" in result["ratios"]]
    if not shown:
        return made
    try:
        import matplotlib
    except ImportError:
        return made
    matplotlib.use("Agg")
    made.append(stem.with_suffix(".png"))
    plot(shown, made[-1])
    return made


def rounded(value: Any) -> Any:
    """Six digits, so that files of results can be read and compared."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def plot(results: list[dict[str, Any]], path: Path) -> None:
    """Ratios with their quartiles on a logarithmic axis, with the goals."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(1.8 + 0.8 * len(results), 4), layout="constrained")
    for key, colour, label, shift in (
        ("best_peer", "#1f4e79", "best peer", -0.1),
        ("torch", "#c55a11", "PyTorch", 0.1),
    ):
        points = [(x + shift, r["ratios"][key]) for x, r in enumerate(results) if key in r["ratios"]]
        if not points:
            continue
        at, found = [x for x, _ in points], [r for _, r in points]
        ratios = [r["ratio"] for r in found]
        bars = [[max(0, r["ratio"] - r["q1"]) for r in found], [max(0, r["q3"] - r["ratio"]) for r in found]]
        axes.errorbar(at, ratios, yerr=bars, fmt="o", color=colour, capsize=3, label=f"to {label}")
    for x, result in enumerate(results):
        if result["goal"]:
            axes.hlines(result["goal"], x - 0.35, x + 0.35, color="black", label="goal" if not x else None)
    axes.axhline(1, color="grey", linewidth=0.8, linestyle=":")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xticks(range(len(results)), [result["workload"] for result in results])
    axes.set_ylabel("times as fast as (quartiles of rounds)")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)
